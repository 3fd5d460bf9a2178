"""By how much one series comes after another; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shift:
    """`samples`: how many the second comes later; `likeness`: their correlation then, up to 1."""

    samples: float
    likeness: float


def shift(first: NDArray[np.float64], second: NDArray[np.float64], most: int) -> Shift | None:
    """Return the shift, of up to `most` samples either way, at which two series (n, k) agree best.

    None for series without variation, or too short to be shifted.
    """
    n = len(first)
    if n < 3 * most:
        return None
    likeness = np.full(2 * most + 1, -1.0)
    for k in range(-most, most + 1):
        a, b = first[max(0, -k) : n - max(0, k)], second[max(0, k) : n - max(0, -k)]
        scale = np.sqrt((a * a).sum() * (b * b).sum())
        if scale > 0:
            likeness[k + most] = (a * b).sum() / scale
    best = int(np.argmax(likeness))
    if likeness[best] <= 0:
        return None
    fraction = 0.0
    if 0 < best < 2 * most:  # the top of the parabola through three points
        left, top, right = likeness[best - 1 : best + 2]
        bend = left - 2 * top + right
        fraction = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return Shift(best - most + float(fraction), float(likeness[best]))
