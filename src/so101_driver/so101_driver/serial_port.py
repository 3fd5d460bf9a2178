"""A serial port as the servo bus needs it: raw, 8N1, exclusively ours (Linux)."""

import errno
import fcntl
import os
import select
import struct
import sys
import termios
import time

from so101_node.error import UserError

# Source: asm-generic/termbits.h and ioctls.h, which x86 and ARM share.
_TCGETS2, _TCSETS2 = 0x802C542A, 0x402C542B
_CBAUD, _BOTHER = 0o010017, 0o010000
_TERMIOS2 = struct.Struct('4I20B2I')  # modes, line and control characters, both rates

# Source: struct serial_struct of linux/serial.h, ASYNC_LOW_LATENCY of linux/tty_flags.h.
_SERIAL_SIZE = 128  # bytes, more than it has
_SERIAL_FLAGS = slice(16, 20)
_LOW_LATENCY = 1 << 13


class SerialPort:
    """An open port. `read`, `write` and `discard` raise OSError when the device is gone."""

    def __init__(self, path: str, baudrate: int = 1_000_000) -> None:
        """Open the port; raises UserError when it is absent, busy, forbidden or no serial port."""
        self.path = path
        self.baudrate = baudrate
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _refusal(path, error) from error
        try:
            # TIOCEXCL keeps out programs that lock nothing, but not those of root; flock does.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            _configure(self._fd, baudrate)
            _hurry(self._fd)
        except (OSError, termios.error) as error:
            os.close(self._fd)
            raise _refusal(path, error) from error
        self._readable = select.poll()
        self._readable.register(self._fd, select.POLLIN)

    def close(self) -> None:
        try:
            # A pty outlives this descriptor, and would stay exclusive.
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        except OSError:
            pass  # the device is gone
        os.close(self._fd)

    def discard(self) -> int:
        """Drop the input that nobody has read yet; return how many bytes were seen of it."""
        seen = len(os.read(self._fd, 4096))  # nothing also from a device that is gone
        if seen:
            try:
                termios.tcflush(self._fd, termios.TCIFLUSH)  # what is behind them
            except termios.error as error:
                raise OSError(*error.args) from error
        return seen

    def write(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            raise OSError(errno.EIO, 'the port takes no more output')

    def read(self, deadline: float) -> bytes:
        """Wait until time.monotonic() is `deadline`; return what has come, or nothing."""
        if not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1e3):
            return b''
        data = os.read(self._fd, 4096)
        if not data:
            raise OSError(errno.EIO, 'the device is gone')
        return data


def _configure(fd: int, baudrate: int) -> None:
    attributes = termios.tcgetattr(fd)
    control = attributes[6]
    control[termios.VMIN] = control[termios.VTIME] = 0
    mode = termios.CS8 | termios.CREAD | termios.CLOCAL
    speed = getattr(termios, f'B{baudrate}', termios.B1000000)
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, mode, 0, speed, speed, control])
    if not hasattr(termios, f'B{baudrate}'):
        # Linux sets a rate that has no name by its number, at the end of struct termios2.
        settings = bytearray(_TERMIOS2.size)
        fcntl.ioctl(fd, _TCGETS2, settings)
        fields = list(_TERMIOS2.unpack(settings))
        fields[2] = fields[2] & ~_CBAUD | _BOTHER
        fields[-2:] = baudrate, baudrate
        fcntl.ioctl(fd, _TCSETS2, _TERMIOS2.pack(*fields))


def _hurry(fd: int) -> None:
    """Let an FTDI adapter hand over after 1 ms what it has, not after 16, past every deadline."""
    settings = bytearray(_SERIAL_SIZE)
    try:
        fcntl.ioctl(fd, termios.TIOCGSERIAL, settings)
        flags = int.from_bytes(settings[_SERIAL_FLAGS], sys.byteorder) | _LOW_LATENCY
        settings[_SERIAL_FLAGS] = flags.to_bytes(4, sys.byteorder)
        fcntl.ioctl(fd, termios.TIOCSSERIAL, settings)
    except OSError:
        pass  # no adapter that waits: a pty, or one of those that never do


def _refusal(path: str, error: OSError | termios.error) -> UserError:
    code = error.args[0]
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return UserError(
            f'the servo port {path} does not exist: check the USB cable and the udev rule, '
            'or set the parameter port'
        )
    if code in (errno.EBUSY, errno.EAGAIN):
        return UserError(f'the servo port {path} is in use by another process: end that one first')
    if code in (errno.EACCES, errno.EPERM):
        return UserError(
            f'no permission to open the servo port {path}: add yourself to the group dialout '
            '(sudo usermod -aG dialout $USER) and log in again'
        )
    if code == errno.ENOTTY:
        return UserError(f'{path} is not a serial port: set the parameter port')
    return UserError(f'cannot open the servo port {path}: {os.strerror(code)}')
