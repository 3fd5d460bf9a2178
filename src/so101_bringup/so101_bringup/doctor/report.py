"""What was found, for a person and for a program."""

import platform
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from so101_bringup.doctor.finding import Finding, Level

# Counted up when a field changes its meaning or goes; new fields and ids may come.
SCHEMA = 1

_MARKS = {
    Level.OK: ('ok', 'green'),
    Level.SKIPPED: ('skipped', 'dim'),
    Level.WARN: ('warning', 'yellow'),
    Level.ERROR: ('ERROR', 'bold red'),
}


def table(findings: Sequence[Finding]) -> RenderableType:
    """Return a table, grouped by area, a cure below what it cures; and the summary below it."""
    rows = Table(box=None, pad_edge=False, show_header=False)
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow='fold')
    before = ''
    for finding in findings:
        mark, style = _MARKS[finding.level]
        area = finding.area if finding.area != before else ''
        text = Text(finding.found, style='dim' if finding.level is Level.SKIPPED else '')
        if finding.cure:
            text.append(f'\n-> {finding.cure}', style='cyan')
            text.append(f'  [{finding.id}]', style='dim')
        rows.add_row(Text(area, style='bold'), Text(mark, style=style), text)
        before = finding.area
    return Group(rows, Text(), summary(findings))


def summary(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.level for finding in findings)
    errors, warnings = counts[Level.ERROR], counts[Level.WARN]
    said = f'{_plural(errors, "error")}, {_plural(warnings, "warning")}, '
    said += f'{counts[Level.OK]} sound, {counts[Level.SKIPPED]} skipped.'
    if errors or warnings:
        said += ' docs/doctor.md says what each one means.'
    style = 'red' if errors else 'yellow' if warnings else 'green'
    return Text(said, style=style)


def _plural(count: int, word: str) -> str:
    return f'{count} {word}{"" if count == 1 else "s"}'


def failed(findings: Sequence[Finding]) -> bool:
    return any(finding.level is Level.ERROR for finding in findings)


def as_json(findings: Sequence[Finding], robot: str, made: datetime) -> dict[str, Any]:
    """Return the report for a program; `robot`: the robot file, '' of none."""
    counts = Counter(finding.level for finding in findings)
    return {
        'schema': SCHEMA,
        'made': made.isoformat(timespec='seconds'),
        'host': platform.node(),
        'robot': robot,
        'summary': {level.value: counts[level] for level in Level},
        'findings': [
            {
                'id': finding.id,
                'area': finding.area,
                'level': finding.level.value,
                'found': finding.found,
                'cure': finding.cure,
                'values': dict(finding.values),
            }
            for finding in findings
        ],
    }
