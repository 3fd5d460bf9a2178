"""One pipeline at a time in a folder, and none while the last step of a killed one still ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from so101_episodes.claim import Claim
from so101_node.error import UserError

# Seconds that a command has to close what it holds, which a graph takes up to 15 for.
_PATIENCE = 30.0


@contextmanager
def held(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold a folder, which is made, and yield the file descriptor by which it is held.

    Whoever else has that open goes on holding it. Raises UserError when another one does.
    """
    deadline, told = time.monotonic() + _PATIENCE, False
    while (claim := _claimed(folder)) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f'another pipeline is at work in {folder}; wait for it, or give another out='
            )
        if not told:
            say(f'another pipeline is at work in {folder}, or one that was killed still ends')
            told = True
        time.sleep(0.2)
    try:
        yield claim.descriptor
    finally:
        claim.release()


def _claimed(folder: Path) -> Claim | None:
    """Make and claim the folder; return None when another one has it. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Claim(folder)
    except BlockingIOError:
        return None
    except OSError as error:
        raise UserError(f'out={folder}: {error.strerror}; give another folder') from error
