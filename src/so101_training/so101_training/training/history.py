"""What a training did: a row each log step in training.csv, a milestone at each checkpoint.

A resumed run goes on after its checkpoint: later rows are dropped, wall time accumulates.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from so101_node.error import UserError

# In the folder of a run: the rows, and a picture of them.
CSV, PLOT = 'training.csv', 'training.png'


@dataclass(frozen=True)
class Row:
    """Means over the updates since the row before; times are seconds."""

    step: int
    epoch: float
    loss: float
    gradient_norm: float
    learning_rate: float
    data_s: float  # an update waited so long for its samples
    update_s: float
    samples_per_s: float
    wall_s: float  # since the training began, without the pauses between runs


@dataclass(frozen=True)
class Milestone:
    """A checkpoint's line of the summary; None is what was never measured."""

    step: int
    loss: float | None
    gradient_norm: float | None
    learning_rate: float | None
    wall_s: float


_COLUMNS = tuple(column.name for column in fields(Row))
_HEAD = ','.join(_COLUMNS) + '\n'


class History:
    """The rows of a CSV file, which has each one on the disk as soon as it is added."""

    def __init__(self, path: Path, until: int = 0) -> None:
        """Go on with the file after the step `until`, or begin it.

        Raises UserError when it holds something else; a last line that a kill cut off is dropped.
        """
        self.rows = [row for row in read(path) if row.step <= until]
        new = path.with_name(f'.{path.name}')
        new.write_text(_HEAD + ''.join(map(_line, self.rows)))
        new.replace(path)
        self._file = path.open('a')

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._file.write(_line(row))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def table(milestones: Sequence[Milestone]) -> str:
    """Return the summary as a table that is Markdown and reads as plain text."""
    head = ('step', 'loss', 'gradient norm', 'learning rate', 'wall time')
    rows = [
        (
            f'{of.step:,}',
            _number(of.loss, '.3f'),
            _number(of.gradient_norm, '.2f'),
            _number(of.learning_rate, '.1e'),
            duration(of.wall_s),
        )
        for of in milestones
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple(f'{"-" * (width - 1)}:' for width in widths), *rows]
    return '\n'.join(
        f'| {" | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))} |'
        for line in lines
    )


def duration(seconds: float) -> str:
    """Return it as people say it: 2 h 35 min, 4 min 10 s, 12 s."""
    if not math.isfinite(seconds):
        return 'unknown'
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f'{hours} h {minutes_left} min'
    return f'{minutes} min {rest} s' if minutes else f'{rest} s'


def milestones_to_json(milestones: Sequence[Milestone]) -> list[dict[str, Any]]:
    return [asdict(of) for of in milestones]


def milestones_of_json(found: Any, where: object) -> list[Milestone]:
    """Read what milestones_to_json wrote. Raises UserError for anything else."""
    if not isinstance(found, list):
        raise UserError(f'{where}: history is {found!r}, expected a list')
    return [_milestone(entry, where) for entry in found]


def _milestone(entry: Any, where: object) -> Milestone:
    names = [of.name for of in fields(Milestone)]
    if not isinstance(entry, Mapping) or set(entry) != set(names):
        raise UserError(f'{where}: history has {entry!r}, expected {", ".join(names)}')
    for name, value in entry.items():
        known = value is not None or name in ('loss', 'gradient_norm', 'learning_rate')
        if not known or (value is not None and not _is_number(value)):
            raise UserError(f'{where}: history: {name} is {value!r}, expected a number')
    return Milestone(**{**entry, 'step': int(entry['step'])})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float | None, form: str) -> str:
    return 'unknown' if value is None else format(value, form)


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file, none where there is none. Raises UserError.

    A last line that a kill cut off is none.
    """
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind('\n') + 1]
    if not whole:
        return []
    if not whole.startswith(_HEAD):
        raise UserError(f'{path}: the columns are not {_HEAD.strip()}; move the file away')
    rows = []
    for number, words in enumerate(csv.reader(io.StringIO(whole[len(_HEAD) :])), start=2):
        try:
            step, *numbers = words
            rows.append(Row(int(step), *map(float, numbers)))
        except (TypeError, ValueError) as error:
            raise UserError(f'{path}: line {number}: {words}; move the file away') from error
    return rows


def _line(row: Row) -> str:
    step, *numbers = astuple(row)
    return ','.join([str(step), *(f'{number:.6g}' for number in numbers)]) + '\n'
