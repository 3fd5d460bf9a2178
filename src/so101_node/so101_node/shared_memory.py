"""Memory that Fast DDS shares with other processes: 35 MB a node, which a killed one leaves.

A participant has segments /dev/shm/fastrtps_<16 hexadecimal digits>, or fastdds_ with Fast DDS 3;
as long as it lives, it holds a lock on a file beside each, of the same name and _el
(RobustExclusiveLock of Fast DDS 2.14 and 3.2). The memory of segments that nobody deletes is lost
until the computer starts again.
"""

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

DIRECTORY = Path('/dev/shm')

# Seconds. A younger lock may be one that its owner is about to take.
_SETTLED = 10.0

_LOCK = re.compile(r'fast(rtps|dds)_[0-9a-f]{16}_el')


def free_left(directory: Path = DIRECTORY) -> None:
    """Delete the segments of processes that are gone; those of other users stay."""
    with suppress(OSError):  # there is no such directory: nothing is shared
        for lock in directory.iterdir():
            if _LOCK.fullmatch(lock.name):
                with suppress(OSError):  # it is gone by now, is another user's, or is held
                    _free_if_left(lock)


def free_own() -> None:
    """Delete the segments of this process, which is about to end and says nothing any more."""
    for descriptor in Path('/proc/self/fd').iterdir():
        with suppress(OSError):  # closed by now
            lock = descriptor.readlink()
            if lock.parent == DIRECTORY and _LOCK.fullmatch(lock.name):
                _free(lock)


def _free_if_left(lock: Path) -> None:
    if time.time() - lock.stat().st_mtime < _SETTLED:
        return
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _free(lock)
    finally:
        os.close(descriptor)


def _free(lock: Path) -> None:
    lock.with_name(lock.name.removesuffix('_el')).unlink(missing_ok=True)
    lock.unlink()
