"""One pipeline at a time in a folder, and none while the last step of a killed one still ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from so101_node.error import UserError

# Seconds that a command has to close what it holds, which a graph takes up to 15 for.
_PATIENCE = 30.0


@contextmanager
def held(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold a folder, which is made, and yield the file descriptor by which it is held.

    Whoever else has that open goes on holding it. Raises UserError when another one does.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(f'out={folder}: {error.strerror}; give another folder') from error
    try:
        _wait(descriptor, folder, say)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(descriptor: int, folder: Path, say: Callable[[str], None]) -> None:
    deadline, told = time.monotonic() + _PATIENCE, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(
                    f'another pipeline is at work in {folder}; wait for it, or give another out='
                ) from None
            if not told:
                say(f'another pipeline is at work in {folder}, or one that was killed still ends')
                told = True
            time.sleep(0.2)
        else:
            return
