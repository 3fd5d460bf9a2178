"""What is usual among episodes, and what is far from it; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# The median absolute deviation of a normal distribution is this part of its standard deviation.
_NORMAL = 1.4826

# Fewer episodes do not tell what is usual.
ENOUGH = 5


@dataclass(frozen=True)
class Usual:
    """Median and robust standard deviation of a figure over the episodes."""

    median: float
    spread: float

    @classmethod
    def of(cls, values: Iterable[float]) -> 'Usual | None':
        """Return what is usual of the values that are finite; None when they are too few."""
        known = np.array([value for value in values if np.isfinite(value)])
        if len(known) < ENOUGH:
            return None
        median = float(np.median(known))
        return cls(median, _NORMAL * float(np.median(np.abs(known - median))))

    def score(self, value: float, at_least: float) -> float:
        """Return how many spreads a value is from the median; a spread is `at_least` so much."""
        return (value - self.median) / max(self.spread, at_least)
