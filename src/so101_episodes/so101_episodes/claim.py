"""Who works on an unfinished episode, or in a folder: a lock on it, which ends with the process.

So nobody takes an episode that is being recorded for one whose recorder was killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from so101_episodes.episode import PARTIAL


class Claim:
    """A folder that nobody else claims until release(), or the end of this process.

    A process that is given `descriptor`, by which it is held, goes on holding it.
    """

    def __init__(self, folder: Path) -> None:
        """Raises BlockingIOError when somebody has claimed the folder, and OSError."""
        self.descriptor = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


@contextmanager
def alone(recordings: Path) -> Iterator[Path]:
    """Let no other make or claim an unfinished episode of `recordings`; yields their folder.

    It is held for moments: a folder that was just made is claimed by then. Raises OSError.
    """
    partial = recordings / PARTIAL
    partial.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(partial, fcntl.LOCK_EX)
    try:
        yield partial
    finally:
        os.close(descriptor)


def _locked(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
