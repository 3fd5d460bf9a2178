"""A serial port as the servo bus needs it: raw, 8N1, 1 Mbps, exclusively ours (Linux)."""

import errno
import fcntl
import os
import select
import termios
import time

from so101_node.error import UserError


class SerialPort:
    """An open port. `read` and `write` raise OSError when the device is gone."""

    def __init__(self, path: str) -> None:
        """Open the port; raises UserError when it is absent, busy, forbidden or no serial port."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _refusal(path, error) from error
        try:
            # TIOCEXCL keeps out programs that lock nothing, but not those of root; flock does.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            _configure(self._fd)
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

    def discard(self) -> None:
        """Drop the input that nobody has read yet."""
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except termios.error as error:
            raise OSError(*error.args) from error

    def write(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            raise OSError(errno.EIO, 'the port takes no more output')

    def read(self, deadline: float) -> bytes:
        """Wait until time.monotonic() is `deadline`; return what has come, or nothing."""
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not self._readable.poll(remaining * 1e3):
            return b''
        data = os.read(self._fd, 4096)
        if not data:
            raise OSError(errno.EIO, 'the device is gone')
        return data


def _configure(fd: int) -> None:
    attributes = termios.tcgetattr(fd)
    control = attributes[6]
    control[termios.VMIN] = control[termios.VTIME] = 0
    mode = termios.CS8 | termios.CREAD | termios.CLOCAL
    speed = termios.B1000000
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, mode, 0, speed, speed, control])


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
