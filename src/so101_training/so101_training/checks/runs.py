"""Stretches of samples that are alike; pure."""

import numpy as np
from numpy.typing import NDArray


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first index and the one behind the last of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def joined(mask: NDArray[np.bool_], gap: int) -> NDArray[np.bool_]:
    """Return the mask with holes of up to `gap` samples between two stretches filled."""
    filled = mask.copy()
    for start, stop in runs(~mask):
        if start > 0 and stop < len(mask) and stop - start <= gap:
            filled[start:stop] = True
    return filled
