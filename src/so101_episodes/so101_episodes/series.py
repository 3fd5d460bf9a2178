"""What six joints did over time; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """`times` (n,), ns, ascending, and `values` (n, 6), radians or dataset units."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]

    def at(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Interpolate linearly: shape (len(times), 6), NaN before the first and after the last."""
        start = self.times[0]  # as floats, nanoseconds since 1970 are good to 256 of them
        known, asked = (self.times - start).astype(float), (times - start).astype(float)
        columns = [
            np.interp(asked, known, column, left=np.nan, right=np.nan) for column in self.values.T
        ]
        return np.stack(columns, axis=1)
