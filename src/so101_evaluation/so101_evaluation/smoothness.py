"""How smooth an executed motion is, above all where one chunk follows another; pure.

A row of joint angles a tick; all joints are taken together, by the length of a difference.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Ticks before and after a change of chunks that are looked at: a third of a second each.
AROUND = 10


def second_differences(rows: Array) -> Array:
    """Return the length of p[t-1] - 2 p[t] + p[t+1] at each t, shape (T,); 0 at both ends."""
    return np.pad(np.linalg.norm(np.diff(rows, 2, axis=0), axis=1), 1)


def jumps(rows: Array, changes: Iterable[int]) -> Array:
    """Return the largest second difference around each change, a tick of the T rows each."""
    second = second_differences(rows)
    return np.array([second[max(0, t - AROUND) : t + AROUND + 1].max() for t in changes])


def smoothness(references: Array, changes: Sequence[int]) -> tuple[float | None, float]:
    """Return the mean jump at a change of chunks, and the RMS jerk of all.

    `references`, shape (T, 6), radians, one a tick. A jump is the largest second difference around
    a change, degrees per tick^2; the first chunk's is none, for the arm stands before it. Jerk is
    in degrees per tick^3.
    """
    rows = np.rad2deg(references)
    found = jumps(rows, [tick for tick in changes[1:] if tick < len(rows) - 2])
    third = np.linalg.norm(np.diff(rows, 3, axis=0), axis=1)
    jerk = float(np.sqrt(np.mean(third**2))) if len(third) else 0.0
    return (float(np.mean(found)) if len(found) else None), jerk
