"""The calls into the kernel that a V4L2 source makes: one small class, so that a test has its own.

`emulated_v4l2.EmulatedKernel` answers them without a device.
"""

import fcntl
import mmap
import os
import select
from pathlib import Path


class Kernel:
    """The running kernel. Every method raises OSError as the call does."""

    sysfs = Path('/sys/class/video4linux')
    devices = Path('/dev')

    def open(self, path: Path) -> int:
        """Open for calls that do not wait."""
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        """Make a request; the answer is in `argument`."""
        fcntl.ioctl(fd, request, argument, True)

    def map(self, fd: int, length: int, offset: int) -> mmap.mmap:
        """Return a buffer of the device, to be read and closed by the caller."""
        return mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def wait(self, fd: int, seconds: float) -> bool:
        """Return whether there is a frame, or an error to be read, within the time."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1e3))

    def close(self, fd: int) -> None:
        os.close(fd)
