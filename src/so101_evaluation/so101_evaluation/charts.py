"""Where things of a chart are: along an axis, in percent of its length; pure.

The charts are SVG in a page's tables: as wide as their column, in the page's own colours and text.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NOTHING = 1e-9  # a range so small is rounding

_MARGIN = 2.0  # percent at each end, so that a mark on it is whole

# Marks of a swarm: a mark's width in percent of a usual column, and the rows there are for those
# that would lie on each other.
_MARK = 1.9
_LANES = (0, 1, -1, 2, -2, 3, -3)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with a line at each of `ticks`."""

    low: float
    high: float
    ticks: Sequence[float]

    @classmethod
    def around(cls, values: Iterable[float]) -> 'Axis':
        """Return an axis over all the values and zero, its ticks at round numbers."""
        known = [0.0, *values]
        low, high = min(known), max(known)
        if high - low < _NOTHING:
            high = low + 1
        rough = (high - low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(first * step, last * step, [i * step for i in range(first, last + 1)])

    def at(self, value: float) -> float:
        """Return where a value is."""
        part = (value - self.low) / (self.high - self.low)
        return round(_MARGIN + part * (100 - 2 * _MARGIN), 2)


PARTS = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))  # of rates
DIFFERENCES = Axis(-1.0, 1.0, (-1.0, -0.5, 0.0, 0.5, 1.0))  # of two rates


def lanes(places: Sequence[float]) -> list[int]:
    """Return the row of each mark, given where it is, in percent: 0 is the middle one."""
    ends = dict.fromkeys(_LANES, -math.inf)
    found = [0] * len(places)
    for index in sorted(range(len(places)), key=places.__getitem__):
        free = [lane for lane in _LANES if ends[lane] + _MARK <= places[index]]
        lane = free[0] if free else min(_LANES, key=ends.__getitem__)
        ends[lane], found[index] = places[index], lane
    return found
