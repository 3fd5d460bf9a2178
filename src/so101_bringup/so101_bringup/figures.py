"""Figures: what was measured, beside its target and its baseline; one form for all of them."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured value.

    `ok` is whether it meets its target; None when there is no target, or when it could not be
    measured: then `value` is None and `reason` says why. `required`: a miss is a failure, not only
    a slow machine. `interval`: in which the true value lies, with 95 %.
    """

    name: str
    value: float | None
    unit: str
    target: str = ''
    ok: bool | None = None
    required: bool = False
    reason: str = ''
    baseline_name: str = ''
    baseline: float | None = None
    interval: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {'name': self.name, 'value': self.value, 'unit': self.unit}
        entry |= {'target': self.target, 'ok': self.ok, 'required': self.required}
        if self.reason:
            entry['reason'] = self.reason
        if self.interval is not None:
            entry['interval'] = list(self.interval)
        if self.baseline is not None:
            entry['baseline'] = {'name': self.baseline_name, 'value': self.baseline}
            entry['ratio'] = self.value / self.baseline if self.value and self.baseline else None
        return entry


def at_most(name: str, value: float | None, limit: float, unit: str, **more: Any) -> Figure:
    """Return a figure whose target is `<= limit`; a value of None or NaN was not measured."""
    return _bounded(name, value, f'<= {limit:g}', lambda v: v <= limit, unit, more)


def at_least(name: str, value: float | None, limit: float, unit: str, **more: Any) -> Figure:
    """Return a figure whose target is `>= limit`; a value of None or NaN was not measured."""
    return _bounded(name, value, f'>= {limit:g}', lambda v: v >= limit, unit, more)


def sampled_at_least(
    name: str,
    value: float,
    limit: float,
    unit: str,
    interval: tuple[float, float],
    **more: Any,
) -> Figure:
    """Return a figure that a sample gives: it misses `>= limit` when all of its interval does."""
    within = interval[1] >= limit
    return Figure(name, value, unit, f'>= {limit:g}', within, interval=interval, **more)


def exactly(name: str, value: float | None, wanted: float, unit: str, **more: Any) -> Figure:
    """Return a figure whose target is `= wanted`; a value of None or NaN was not measured."""
    return _bounded(name, value, f'= {wanted:g}', lambda v: v == wanted, unit, more)


def untargeted(name: str, value: float | None, unit: str, **more: Any) -> Figure:
    """Return a figure without a target; a value of None or NaN was not measured."""
    if value is None or value != value:
        return Figure(name, None, unit, reason='not measured', **more)
    return Figure(name, value, unit, **more)


def _bounded(
    name: str, value: float | None, target: str, meets: Any, unit: str, more: dict[str, Any]
) -> Figure:
    if value is None or value != value:
        reason = more.pop('reason', 'not measured')
        return Figure(name, None, unit, target, None, reason=reason, **more)
    return Figure(name, value, unit, target, bool(meets(value)), **more)


def machine() -> dict[str, Any]:
    """Return what figures were measured on."""
    return {
        'cores': os.cpu_count(),
        'processor': platform.machine(),
        'system': platform.platform(),
        'python': platform.python_version(),
    }


def write(path: Path, name: str, figures: Sequence[Figure], **more: Any) -> None:
    """Write a figures file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {'name': name, 'machine': machine(), **more}
    document['figures'] = [figure.to_json() for figure in figures]
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(document, indent=2, allow_nan=False) + '\n')
    partial.replace(path)


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print figures as a table, a mark before each."""
    table = Table(title=title, title_justify='left')
    for column in ('', 'figure', 'value', 'target', 'baseline'):
        table.add_column(column, justify='right' if column == 'value' else 'left')
    for figure in figures:
        value = '-' if figure.value is None else f'{figure.value:.4g} {figure.unit}'.strip()
        if figure.interval is not None:
            value += f' ({figure.interval[0]:.3g} to {figure.interval[1]:.3g})'
        baseline = (
            '' if figure.baseline is None else f'{figure.baseline:.4g} ({figure.baseline_name})'
        )
        note = f'{figure.target}  {figure.reason}'.strip()
        table.add_row(mark(figure), figure.name.replace('_', ' '), value, note, baseline)
    Console(width=None if os.isatty(1) else 120).print(table)


def mark(figure: Figure) -> str:
    """Return ok, FAILED (something is wrong), slow (a timing missed), or nothing (no target)."""
    if figure.ok is None:
        return 'FAILED' if figure.required else ''
    return 'ok' if figure.ok else 'FAILED' if figure.required else 'slow'


def failed(figures: Sequence[Figure]) -> list[Figure]:
    """Return the figures that say that something is wrong, also by not having been measured."""
    return [figure for figure in figures if figure.required and not figure.ok]
