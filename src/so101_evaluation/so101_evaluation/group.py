"""Episodes that have something in common, and what they say together; pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from so101_evaluation.entry import Entry
from so101_evaluation.labels import NOT_SAID, natural
from so101_evaluation.statistics import Tally


@dataclass(frozen=True)
class Summary:
    """Of `count` values: the median, and the quartiles."""

    count: int
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> 'Summary | None':
        """Return None when there is no value; a None among them was not measured."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        low, median, high = np.percentile(known, (25, 50, 75)).tolist()
        return cls(len(known), median, low, high)


@dataclass(frozen=True)
class Group:
    """Episodes that have something in common, and what that is: `name`."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def tally(self) -> Tally:
        return Tally.of(entry.outcome for entry in self.entries)

    @property
    def reasons(self) -> dict[str, int]:
        """Why failures failed, the most frequent first; NOT_SAID for those without a reason."""
        failed = [entry.reason for entry in self.entries if entry.outcome == 'failure']
        return dict(Counter(reason or NOT_SAID for reason in failed).most_common())

    @property
    def success_durations(self) -> Summary | None:
        """Seconds."""
        return Summary.of(e.duration_s for e in self.entries if e.outcome == 'success')

    @property
    def figures(self) -> dict[str, Summary | None]:
        names = dict.fromkeys(name for entry in self.entries for name in entry.figures)
        return {name: Summary.of(e.figures.get(name) for e in self.entries) for name in names}

    def split(self, name: Callable[[Entry], str]) -> list['Group']:
        """Return the groups of each name, in natural order."""
        names = sorted({name(entry) for entry in self.entries}, key=natural)
        return [
            Group(one, tuple(entry for entry in self.entries if name(entry) == one))
            for one in names
        ]

    def to_json(self) -> dict[str, Any]:
        tally, durations = self.tally, self.success_durations
        return {
            'episodes': tally.total,
            'successes': tally.successes,
            'failures': tally.failures,
            'unlabelled': tally.unlabelled,
            'rate': tally.rate,
            'rate_interval': asdict(tally.interval) if tally.interval else None,
            'rate_possible': asdict(tally.possible) if tally.possible else None,
            'failure_reasons': self.reasons,
            'success_duration_s': asdict(durations) if durations else None,
            'figures': {
                name: asdict(summary) if summary else None
                for name, summary in self.figures.items()
            },
        }


def by_place(group: Group) -> list[Group]:
    """Return the group's parts by the place where the object started."""
    return group.split(lambda entry: entry.place or NOT_SAID)
