"""The hidden folder beside a dataset in which it is made: what a killed conversion leaves.

`<parent>/.<name>.partial/`: pieces/, the episodes converted so far, settings.json, which they were
converted with, dataset/, the dataset being put together, old/, the one it takes the place of.
"""

import fcntl
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from so101_episodes.bag import sync
from so101_node.error import UserError
from so101_training.conversion.manifest import CONVERSION
from so101_training.conversion.piece import Settings

# Of what is in it; another one is not taken up.
_FORMAT = 1


class Draft:
    """Nobody else has it until close(), or the end of this process."""

    def __init__(self, out: Path) -> None:
        """Make it, or take up what is there; put back a dataset that was on the move.

        Raises UserError when another conversion to `out` runs, and OSError.
        """
        self._out = out
        self._folder = out.parent / f'.{out.name}.partial'
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UserError(
                f'{out} is being converted to by another process; wait for it'
            ) from None
        if self._old.exists() and not out.exists():  # killed between the two renames
            self._old.rename(out)
        for rest in (self._old, self.dataset):
            shutil.rmtree(rest, ignore_errors=True)
        self._base = self._identity()

    @property
    def pieces(self) -> Path:
        return self._folder / 'pieces'

    @property
    def dataset(self) -> Path:
        return self._folder / 'dataset'

    @property
    def _old(self) -> Path:
        return self._folder / 'old'

    def begin(self, settings: Settings) -> None:
        """Make room for pieces; delete those of other settings. Raises OSError."""
        note = self._folder / 'settings.json'
        text = json.dumps({'format': _FORMAT, **settings.to_json()})
        if not note.exists() or note.read_text() != text:
            shutil.rmtree(self.pieces, ignore_errors=True)
            note.write_text(text)
        self.pieces.mkdir(exist_ok=True)

    def publish(self) -> None:
        """Put the dataset in its place, whole, in that of an old one where there is one.

        Raises UserError when something has appeared there or changed since the beginning.
        """
        if self._identity() != self._base:
            raise UserError(
                f'{self._out} has appeared or changed meanwhile; move it away, or see what is in '
                'it, and call this again: what was converted is kept'
            )
        if self._out.exists():
            self._out.rename(self._old)
        self.dataset.rename(self._out)
        sync(self._out.parent)
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Let others have it; delete it when nothing was converted."""
        with suppress(OSError):
            if not any(self.pieces.iterdir()):
                shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            self._folder.rmdir()
        os.close(self._lock)

    def _identity(self) -> tuple[int, ...] | None:
        """Return what changes when another dataset takes the place of the one there."""
        if not self._out.exists():
            return None
        file = self._out / CONVERSION
        found = (file if file.exists() else self._out).stat()
        return (self._out.stat().st_ino, found.st_ino, found.st_mtime_ns)
