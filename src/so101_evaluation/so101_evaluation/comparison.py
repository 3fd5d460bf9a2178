"""Two reports held against each other; pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from so101_evaluation.contrast import Contrast
from so101_evaluation.group import Group, Summary, by_place
from so101_evaluation.labels import NOT_SAID
from so101_evaluation.report import Report

FORM = 1  # of the JSON file: the value of its key 'so101_comparison'


@dataclass(frozen=True)
class Pair:
    """One figure in both reports; None where it was not measured."""

    name: str
    first: Summary | None
    second: Summary | None

    @property
    def ratio(self) -> float | None:
        """The second's median as a multiple of the first's."""
        if self.first is None or self.second is None or not self.first.median:
            return None
        return self.second.median / self.first.median


@dataclass(frozen=True)
class Comparison:
    """The report `second` against `first`; the names tell them apart."""

    first: Report
    second: Report
    first_name: str
    second_name: str

    @cached_property
    def overall(self) -> Contrast:
        return self._contrast(self.first.overall, self.second.overall)

    @cached_property
    def checkpoints(self) -> dict[str, Contrast]:
        """Of checkpoints that have the same name in both."""
        return self._matched(self.first.by_checkpoint(), self.second.by_checkpoint())

    @cached_property
    def places(self) -> dict[str, Contrast]:
        """Of places that both have."""
        both = by_place(self.first.overall), by_place(self.second.overall)
        return self._matched(
            *([group for group in groups if group.name != NOT_SAID] for groups in both)
        )

    @property
    def reasons(self) -> dict[str, tuple[int, int]]:
        """Why failures failed: how often in the first, in the second; the most frequent first."""
        first, second = self.first.overall.reasons, self.second.overall.reasons
        both = {reason: (first.get(reason, 0), second.get(reason, 0)) for reason in first | second}
        return dict(sorted(both.items(), key=lambda item: -sum(item[1])))

    @property
    def figures(self) -> list[Pair]:
        """The duration of successes, and every figure that one of them has."""
        first, second = self.first.overall, self.second.overall
        names = list(first.figures | second.figures)
        return [
            Pair('success_duration_s', first.success_durations, second.success_durations),
            *(Pair(name, first.figures.get(name), second.figures.get(name)) for name in names),
        ]

    @property
    def cautions(self) -> list[str]:
        """What differs besides what is compared, or is not known: a line each."""
        lines = []
        for what, key in (('task', 'task'), ('place', 'place')):
            only = [
                sorted(_texts(one, key) - _texts(other, key))
                for one, other in ((self.first, self.second), (self.second, self.first))
            ]
            for name, texts in zip((self.first_name, self.second_name), only, strict=True):
                if texts:
                    lines.append(f'only in {name}: the {what} {", ".join(map(repr, texts))}')
        for name, report in ((self.first_name, self.first), (self.second_name, self.second)):
            if without := report.overall.tally.unlabelled:
                lines.append(f'{name}: {without} unlabelled, left out')
        return lines

    def to_json(self) -> dict[str, Any]:
        return {
            'so101_comparison': FORM,
            'first': {'name': self.first_name, **_head(self.first)},
            'second': {'name': self.second_name, **_head(self.second)},
            'cautions': self.cautions,
            'overall': self.overall.to_json(),
            'checkpoints': {name: of.to_json() for name, of in self.checkpoints.items()},
            'places': {name: of.to_json() for name, of in self.places.items()},
            'failure_reasons': {
                reason: {'first': first, 'second': second}
                for reason, (first, second) in self.reasons.items()
            },
            'figures': {
                pair.name: {
                    'first': asdict(pair.first) if pair.first else None,
                    'second': asdict(pair.second) if pair.second else None,
                    'ratio': pair.ratio,
                }
                for pair in self.figures
            },
        }

    def _matched(self, first: Iterable[Group], second: Iterable[Group]) -> dict[str, Contrast]:
        others = {group.name: group for group in second}
        return {
            group.name: self._contrast(group, others[group.name])
            for group in first
            if group.name in others
        }

    def _contrast(self, first: Group, second: Group) -> Contrast:
        return Contrast(self.first_name, self.second_name, first, second)


def _texts(report: Report, key: str) -> set[str]:
    return {getattr(entry, key) for entry in report.entries} - {''}


def _head(report: Report) -> dict[str, Any]:
    return {
        'title': report.title,
        'made': report.made,
        'checkpoints': list(report.labels),
        'overall': report.overall.to_json(),
    }
