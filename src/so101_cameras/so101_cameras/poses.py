"""Where the arm was lately: whether a camera should have seen it move; pure.

Times are nanoseconds of the steady clock, poses radians.
"""

from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Nanoseconds from a pose to a picture that shows it. Measured in simulation: 0.06 s.
LAG = 200_000_000

# Radians that an arm at rest may move in that time, and nanoseconds after which a pose says
# nothing of where the arm is.
_REST = float(np.deg2rad(1.0))
_OLD = 500_000_000

Pose = NDArray[np.float64]


# Nanoseconds for which poses are kept beyond that: several periods of a camera, between whose
# pictures an arm may have been elsewhere.
_KEPT = 200_000_000


class Poses:
    """The last poses of one arm; a few a second will do, more find a short motion, too."""

    def __init__(self) -> None:
        # The first one is as old as is kept, or the oldest there is.
        self._poses: deque[tuple[int, Pose]] = deque()

    def add(self, at: int, positions: ArrayLike) -> None:
        """Take the pose that was measured at that time."""
        pose = np.asarray(positions, dtype=np.float64)
        if self._poses and self._poses[-1][1].shape != pose.shape:
            self._poses.clear()
        self._poses.append((at, pose))
        while len(self._poses) > 1 and self._poses[1][0] <= at - LAG - _KEPT:
            self._poses.popleft()

    def before(self, now: int) -> Pose | None:
        """Return the newest pose that was measured by then."""
        return next((pose for at, pose in reversed(self._poses) if at <= now), None)

    def shown(self, now: int, captured: int, since: int) -> list[Pose]:
        """Return the poses, taken after `since`, that a picture which comes now may show.

        Stamps may be those of the arrival, so they are LAG old, however young the picture claims
        to be.
        """
        until = min(now - LAG, captured)
        return [pose for at, pose in self._poses if since < at <= until]

    def rest(self, now: int) -> Pose | None:
        """Return where the arm is, and was for as long as it takes to be seen; else None."""
        if not self._poses or self._poses[0][0] > now - LAG or self._poses[-1][0] < now - _OLD:
            return None
        newest = self._poses[-1][1]
        still = all(np.abs(pose - newest).max(initial=0.0) <= _REST for _, pose in self._poses)
        return newest if still else None
