"""Checkpoints that are whole or not there: written beside, made sure of on the disk, then renamed.

A kill at any moment leaves the earlier checkpoints and `last` as they were, and perhaps a hidden
folder that the next run removes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from so101_episodes.bag import sync_all
from so101_node.error import UserError
from so101_training.training import disk
from so101_training.training.resumption import LAST, command

_SAVING = '.saving'
_REPLACED = '.replaced'


def write(folder: Path, save: Callable[[Path], None]) -> None:
    """Have `save` fill a hidden folder, then make it `folder`, in the place of an older one.

    Raises UserError when it cannot be written; then nothing of it is left.
    """
    saving = folder.with_name(f'.{folder.name}{_SAVING}')
    try:
        shutil.rmtree(saving, ignore_errors=True)
        saving.mkdir(parents=True)
        save(saving)
        # A name that looks whole is so even after a loss of power.
        sync_all(saving)
        if folder.exists():
            folder.rename(folder.with_name(f'.{folder.name}{_REPLACED}'))
        saving.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(saving, ignore_errors=True)
        raise UserError(_failed(folder, error)) from error
    except BaseException:
        shutil.rmtree(saving, ignore_errors=True)
        raise
    clear(folder.parent)


def link_last(folder: Path) -> None:
    """Make `last` beside `folder` a link to it. There is no moment without one."""
    link = folder.parent / LAST
    new = folder.parent / f'.{LAST}'
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name)
    new.replace(link)


def clear(checkpoints: Path) -> None:
    """Remove what a killed run left half-written in the folder of checkpoints."""
    for old in checkpoints.glob(f'.*{_REPLACED}'):
        name = old.name.removeprefix('.').removesuffix(_REPLACED)
        if not (checkpoints / name).exists():  # killed between two renames
            old.rename(checkpoints / name)
        else:
            shutil.rmtree(old)
    for left in checkpoints.glob(f'.*{_SAVING}'):
        shutil.rmtree(left)
    (checkpoints / f'.{LAST}').unlink(missing_ok=True)


def _failed(folder: Path, error: Exception) -> str:
    free = shutil.disk_usage(folder.parent).free if folder.parent.is_dir() else 0
    before = folder.parent / LAST
    cure = f'; go on with: {command(before.resolve())}' if before.exists() else ''
    return (
        f'checkpoint {folder} could not be saved: {error}; {disk.gigabytes(free)} are free '
        f'there. Nothing of it is left, earlier ones are whole. Make room{cure}'
    )
