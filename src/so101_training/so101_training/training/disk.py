"""How much room the checkpoints of a run need, known before its first step."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from so101_node.error import UserError

# Statistics, tokenizer, model card, pictures; and safetensors' heads.
_BESIDE = 20e6


def checkpoint_size(parameters: Iterable[tuple[int, int, bool]]) -> float:
    """Return bytes of a checkpoint, of each parameter's numbers, bytes a number, if it learns.

    AdamW, which every policy here is trained with, keeps two numbers for each one that learns.
    """
    return _BESIDE + sum(n * size * (3 if learns else 1) for n, size, learns in parameters)


def saves(step: int, steps: int, every: int) -> int:
    """Return how many checkpoints are still to be saved after `step`, one at the end included."""
    periodic = steps // every - step // every
    return periodic + (1 if steps % every and steps > step else 0)


def check(out: Path, count: int, size: float) -> None:
    """Raise UserError when `count` checkpoints of `size` bytes have no room in `out`."""
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if count * size > free:
        raise UserError(
            f'{out}: {count} checkpoints of {gigabytes(size)} need {gigabytes(count * size)}, '
            f'{gigabytes(free)} are free; make room, save less often (save_freq), or give '
            'another --out'
        )


def gigabytes(size: float) -> str:
    return f'{size / 1e9:.3g} GB'
