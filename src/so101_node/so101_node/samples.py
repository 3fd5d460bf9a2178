"""The last measurements of one quantity, and their percentiles."""

from collections import deque
from collections.abc import Iterator

import numpy as np


class Samples:
    """The last `size` values. Thread-safe for one writer and any readers."""

    def __init__(self, size: int = 2000) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        self._values.append(value)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(list(self._values))

    def percentile(self, q: float) -> float:
        """Return the q-th percentile (0 to 100), or NaN of no values."""
        values = list(self._values)
        return float(np.percentile(values, q)) if values else float('nan')
