"""Which checkpoint a run goes on from, and what to type for it."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so101_node.error import UserError
from so101_node.typed_path import typed
from so101_policy import json_object
from so101_policy.json_object import field
from so101_policy.training import TRAIN_CONFIG

# LeRobot's names in the folder of a run (lerobot.utils.constants).
CHECKPOINTS = 'checkpoints'
LAST = 'last'
PRETRAINED = 'pretrained_model'
_STATE = 'training_state'
_STEP = f'{_STATE}/training_step.json'
_NEEDED = (
    f'{PRETRAINED}/{TRAIN_CONFIG}',
    f'{PRETRAINED}/model.safetensors',
    _STEP,
    f'{_STATE}/optimizer_state.safetensors',
    f'{_STATE}/rng_state.safetensors',
)


@dataclass(frozen=True)
class SavedState:
    """A checkpoint with all that training goes on from."""

    folder: Path  # RUN/checkpoints/005000
    step: int
    total: int  # steps in all, as that run had it
    num_processes: int

    @property
    def run(self) -> Path:
        return self.folder.parent.parent

    @property
    def pretrained(self) -> Path:
        return self.folder / PRETRAINED

    @property
    def config(self) -> Path:
        return self.pretrained / TRAIN_CONFIG


def read(path: Path) -> SavedState:
    """Read the checkpoint at `path`: its folder, pretrained_model in it, or the run's folder.

    Raises UserError when there is none or a file of it is missing.
    """
    folder = _folder(path)
    if missing := [name for name in _NEEDED if not (folder / name).is_file()]:
        raise UserError(
            f'{folder}: {missing[0]} is missing, so the training cannot go on from it; take '
            f'another checkpoint, or start anew from its weights: policy={folder / PRETRAINED}'
        )
    step: dict[str, Any] = json_object.read(folder / _STEP)
    config = json_object.read(folder / PRETRAINED / TRAIN_CONFIG)
    return SavedState(
        folder=folder,
        step=field(step, 'step', int, folder / _STEP),
        total=field(config, 'steps', int, folder / PRETRAINED / TRAIN_CONFIG),
        num_processes=field(step, 'num_processes', int, folder / _STEP)
        if 'num_processes' in step
        else 1,
    )


def _folder(path: Path) -> Path:
    if not path.exists():
        raise UserError(f'{path}: no such folder; give a checkpoint, or the folder of a run')
    last = path / CHECKPOINTS / LAST
    folder = (last if last.is_dir() else path).resolve()
    if folder.name == PRETRAINED:
        folder = folder.parent
    if not (folder / PRETRAINED).is_dir():
        raise UserError(
            f'{path}: no checkpoint in it; give RUN/{CHECKPOINTS}/<step>, or RUN for its last one'
        )
    if folder.parent.name != CHECKPOINTS or folder.name.startswith('.'):
        raise UserError(
            f'{folder}: not in the folder of a run; a checkpoint that is to be gone on from is '
            f'RUN/{CHECKPOINTS}/<step>'
        )
    return folder


def command(path: Path) -> str:
    """Return what to type to go on from `path`, a checkpoint or a run."""
    return f'so101 train --resume-from {shlex.quote(str(typed(path.absolute())))}'


def check_new(out: Path) -> None:
    """Refuse a folder that a new run would overwrite; remove an empty one.

    Raises UserError.
    """
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()  # LeRobot takes none that exists
    if not out.exists():
        return
    if not (out / CHECKPOINTS / LAST).exists():
        what = 'a run that ended before its first checkpoint' if _is_run(out) else 'something else'
        raise UserError(f'{out} exists and holds {what}; remove it, or give another --out')
    found = read(out)
    if found.step >= found.total:
        raise UserError(
            f'{out} holds a run that has done its {found.total} steps; give another --out, or go '
            f'on with more: {command(out)} steps={2 * found.total}'
        )
    raise UserError(
        f'{out} holds a run that stopped at step {found.step} of {found.total}; go on with it: '
        f'{command(out)}; or give another --out'
    )


def _is_run(out: Path) -> bool:
    return out.is_dir() and (out / 'train.log').is_file()
