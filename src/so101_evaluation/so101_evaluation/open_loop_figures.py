"""The figures of an open-loop run, as a table and in the suite's form of figures files."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from so101_description.joints import GRIPPER, JOINTS
from so101_evaluation.open_loop_graph import Played
from so101_evaluation.prediction_error import PredictionError

# Seconds from the observation, as far as a chunk reaches.
HORIZON = (0.0, 0.25, 0.5, 1.0, 1.5)

UNITS = tuple('%' if i == GRIPPER else 'deg' for i in range(len(JOINTS)))


@dataclass(frozen=True)
class Figure:
    """One value of one checkpoint; None when there is none."""

    name: str
    value: float | None
    unit: str


def figures(error: PredictionError, played: Played) -> list[Figure]:
    """Return what can be compared between checkpoints.

    Errors of more than one joint are in dataset units: degrees, and % of the gripper.
    """
    over_horizon = error.over_horizon().mean(axis=1)
    ticks = [(seconds, round(seconds * 1e9 / error.period)) for seconds in HORIZON]
    return [
        Figure('mean_absolute_error', float(error.per_joint().mean()), 'dataset units'),
        *(
            Figure(f'mean_absolute_error_{joint}', float(value), unit)
            for joint, value, unit in zip(JOINTS, error.per_joint(), UNITS, strict=True)
        ),
        *(
            Figure(
                f'mean_absolute_error_at_{round(1e3 * seconds)}_ms',
                _known(over_horizon[tick]),
                'dataset units',
            )
            for seconds, tick in ticks
            if tick < len(over_horizon)
        ),
        Figure('chunks', len(error.absolute), ''),
        Figure('actions_compared', error.compared, ''),
        Figure('coverage', 100 * error.coverage(), '%'),
        Figure('images', len(played.lateness), ''),
        Figure('images_lost', played.lost, ''),
        Figure('image_lateness_p95', 1e3 * float(np.percentile(played.lateness, 95)), 'ms'),
    ]


def show(figures: Mapping[str, Sequence[Figure]]) -> None:
    """Print a table, a column for each checkpoint."""
    table = Table(title='Predicted against recorded actions', title_justify='left')
    table.add_column('figure')
    for label in figures:
        table.add_column(label, justify='right')
    table.add_column('')
    names = dict.fromkeys(figure.name for of in figures.values() for figure in of)
    for name in names:
        found = [next((f for f in of if f.name == name), None) for of in figures.values()]
        values = ['-' if f is None or f.value is None else f'{f.value:.4g}' for f in found]
        unit = next(f.unit for f in found if f is not None)
        table.add_row(name.replace('_', ' '), *values, unit)
    Console(width=None if os.isatty(1) else 120).print(table)


def write(path: Path, figures: Mapping[str, Sequence[Figure]], **more: Any) -> None:
    """Write the figures of each checkpoint, whole or not at all."""
    machine = {
        'cores': os.cpu_count(),
        'processor': platform.machine(),
        'system': platform.platform(),
        'python': platform.python_version(),
    }
    entries = [_entry(label, figure) for label, of in figures.items() for figure in of]
    document = {'name': 'open_loop', 'machine': machine, **more, 'figures': entries}
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(document, indent=2, allow_nan=False) + '\n')
    partial.replace(path)


def _entry(label: str, figure: Figure) -> dict[str, Any]:
    entry = {
        'name': figure.name,
        'checkpoint': label,
        'value': figure.value,
        'unit': figure.unit,
        'target': '',
        'ok': None,
        'required': False,
    }
    return entry if figure.value is not None else entry | {'reason': 'not measured'}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
