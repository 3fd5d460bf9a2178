"""How bright and of which colour a camera's pictures are, against those of its start; pure.

The parts of a picture are compared one by one, and the middle one counts: an arm or a hand that
covers less than half of the view changes nothing. What a camera on the arm sees changes with the
pose, so its pictures are compared where the arm rests as it has rested before.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_cameras.picture_health import CLIPPED, DARK, Look
from so101_cameras.poses import Pose

# Radians: poses within that show the same view, some pixels apart.
_NEAR = float(np.deg2rad(3.0))

_PLACES = 64  # poses that are remembered

# The share of a picture's parts that must be neither dark nor burnt out to be compared.
_COMPARED = 0.25


class Shift(NamedTuple):
    """How many times as bright a picture is as at the start, and its red and blue against green.

    Of pixels as they are coded, so an exposure twice as long is about 1.4.
    """

    brightness: float
    red: float
    blue: float


class Exposure:
    def __init__(self) -> None:
        self._places: list[tuple[Pose | None, NDArray[np.float32]]] = []

    def shift(self, look: Look, pose: Pose | None) -> Shift | None:
        """Compare with the start; None: there is nothing to compare with.

        `pose`: where the arm rests, radians, of a camera that moves with it; None of one that
        stands still.
        """
        cells = self._remembered(pose)
        return None if cells is None else _compare(look.cells, cells)

    def remember(self, look: Look, pose: Pose | None) -> None:
        """Take it for what the camera shows at that pose, unless that is known."""
        if self._remembered(pose) is None and len(self._places) < _PLACES:
            self._places.append((pose, look.cells))

    def _remembered(self, pose: Pose | None) -> NDArray[np.float32] | None:
        for place, cells in self._places:
            if pose is None or place is None:
                same = pose is place
            else:
                same = pose.shape == place.shape and bool(np.abs(pose - place).max() <= _NEAR)
            if same:
                return cells
        return None


def _compare(now: NDArray[np.float32], before: NDArray[np.float32]) -> Shift | None:
    dim, bright = np.minimum(now, before).min(axis=2), np.maximum(now, before).max(axis=2)
    # What was burnt out, or is, may have become brighter than can be seen.
    fit = (dim > DARK) & (bright < CLIPPED)
    if fit.mean() < _COMPARED:
        return None
    ratio = now[fit] / before[fit]
    green = ratio[:, 1]
    return Shift(
        float(np.median(ratio.mean(axis=1))),
        float(np.median(ratio[:, 0] / green)),
        float(np.median(ratio[:, 2] / green)),
    )
