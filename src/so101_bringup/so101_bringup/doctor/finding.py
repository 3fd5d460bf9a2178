"""A finding: what was found, how bad it is, what to do; and the kinds of findings there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Value = str | int | float | bool | None | list[str] | list[float]


class Level(StrEnum):
    OK = 'ok'
    SKIPPED = 'skipped'  # it could not be looked at
    WARN = 'warn'  # it works, but not well, or not always
    ERROR = 'error'  # it does not work


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `values` are for programs: numbers in the units of their names."""

    id: str
    level: Level
    found: str
    cure: str = ''
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def area(self) -> str:
        return self.id.partition('.')[0]


@dataclass(frozen=True)
class Kind:
    """What can be wrong: its id, AREA.NAME, what it means, and its cure in one line.

    Words of the cure in braces are replaced by the finding's values.
    """

    id: str
    level: Level
    means: str
    cure: str

    @property
    def area(self) -> str:
        return self.id.partition('.')[0]

    def finding(self, found: str, **values: Value) -> Finding:
        return Finding(self.id, self.level, found, self.cure.format(**values), values)


def warning(name: str, means: str, cure: str) -> Kind:
    return Kind(name, Level.WARN, means, cure)


def error(name: str, means: str, cure: str) -> Kind:
    return Kind(name, Level.ERROR, means, cure)


def sound(area: str, found: str, **values: Value) -> Finding:
    return Finding(f'{area}.ok', Level.OK, found, values=values)


def skipped(area: str, why: str, **values: Value) -> Finding:
    return Finding(f'{area}.skipped', Level.SKIPPED, why, values=values)
