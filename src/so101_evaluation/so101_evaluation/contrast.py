"""Two groups of episodes held against each other, in numbers and in words; pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from so101_evaluation.group import Group, by_place
from so101_evaluation.statistics import (
    CONFIDENCE,
    Difference,
    Tally,
    difference,
    rollouts_to_show,
    same_places_p,
)

# Differences that one may want to show, parts of 1: the first that more rollouts are needed for.
_GAPS = (0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Contrast:
    """`second` against `first`, each with its name."""

    first_name: str
    second_name: str
    first: Group
    second: Group

    @property
    def difference(self) -> Difference | None:
        return difference(self.first.tally, self.second.tally)

    @property
    def same_places_p(self) -> float | None:
        """Of the exact test within places, see statistics; None without places in common."""
        first, second = self._at_places(self.first), self._at_places(self.second)
        return same_places_p([(first[place], second[place]) for place in first if place in second])

    @property
    def needed(self) -> tuple[float, int] | None:
        """A difference that these are too few to show, and how many of each would show it."""
        tallies = self.first.tally, self.second.tally
        labelled = sum(tally.labelled for tally in tallies)
        if not labelled:
            return None
        rate = sum(tally.successes for tally in tallies) / labelled
        for gap in _GAPS:
            number = rollouts_to_show(gap, rate)
            if number > min(tally.labelled for tally in tallies):
                return gap, number
        return None

    @property
    def shown(self) -> bool:
        """Whether there is a difference, by its interval and, where it is known, by the test."""
        found, p = self.difference, self.same_places_p
        return found is not None and found.shown and (p is None or p < 1 - CONFIDENCE)

    @property
    def verdict(self) -> str:
        """What the difference, its interval and the test within places allow to say."""
        found = self.difference
        if found is None:
            without = self.first_name if not self.first.tally.labelled else self.second_name
            return f'nothing to compare: no episode of {without} is labelled'
        p = self.same_places_p
        test = '' if p is None else f'within places p {_probability(p)}'
        low, high = points(found.interval.low), points(found.interval.high)
        interval = f'95 %: {low} to {high}' + (f'; {test}' if test else '')
        known = f'{points(found.value)} points ({interval})'
        if self.shown:
            how = 'more' if found.value > 0 else 'less'
            return f'{self.second_name} succeeds {how} often than {self.first_name}: {known}'
        said = f'no difference shown: {low} to {high} points' + (f' ({test})' if test else '')
        if found.shown:
            said = f'too close to tell: {known}'
        if self.needed:
            gap, number = self.needed
            said += f'; about {number} rollouts of each would show {100 * gap:.0f} points'
        return said

    def to_json(self) -> dict[str, Any]:
        found, needed = self.difference, self.needed
        return {
            'first': self.first_name,
            'second': self.second_name,
            'difference': found.value if found else None,
            'difference_interval': asdict(found.interval) if found else None,
            'shown': self.shown,
            'same_places_p': self.same_places_p,
            'needed': {'difference': needed[0], 'rollouts_of_each': needed[1]} if needed else None,
            'verdict': self.verdict,
        }

    @staticmethod
    def _at_places(group: Group) -> dict[str, Tally]:
        said = Group(group.name, tuple(entry for entry in group.entries if entry.place))
        return {at.name: at.tally for at in by_place(said)}


def contrasts(groups: Sequence[Group]) -> list[Contrast]:
    """Return every two of the groups, the later one against the earlier."""
    return [Contrast(one.name, other.name, one, other) for one, other in combinations(groups, 2)]


def points(part: float) -> str:
    """Return a difference of rates in percentage points, with its sign."""
    return f'{round(100 * part):+d}' if round(100 * part) else '0'


def _probability(p: float) -> str:
    return '< 0.001' if p < 0.001 else f'= {p:.2g}'
