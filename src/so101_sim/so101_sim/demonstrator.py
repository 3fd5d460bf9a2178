"""The hand of a leader arm by which the expert demonstrates; pure."""

import numpy as np
from numpy.typing import NDArray

from so101_sim.expert import STEP, Way
from so101_sim.hand import Pose, smooth

# rad/s, of the joint with the longest way, where nothing is to be shown.
_RETURN_SPEED = 2.0


class Demonstrator:
    """A Hand that keeps what it takes where it is, until there is a way to be followed.

    `start` (radians) is where the arm is in it at first.
    """

    def __init__(self, start: Pose) -> None:
        self._way, self._begin = Way(start[None]), 0.0

    def take(self, joints: NDArray[np.bool_], angles: Pose, seconds: float) -> None:
        held = np.where(joints, angles, self.pose(seconds))
        self.follow(Way(held[None]), seconds)

    def pose(self, seconds: float) -> Pose:
        return self._way.pose(seconds - self._begin)

    def follow(self, way: Way, begin: float) -> None:
        """Follow a way from a time (s) on, which starts where the arm is held; stay at its end."""
        self._way, self._begin = way, begin

    def go_back(self, seconds: float) -> None:
        """Carry the arm, from now on, to where its way began."""
        here, there = self.pose(seconds), self._way.poses[0]
        duration = 15 / 8 * float(np.abs(there - here).max()) / _RETURN_SPEED
        parts = np.arange(1 + max(1, round(duration / STEP)), dtype=np.float64)
        shares = smooth(parts / parts[-1])[:, None]
        self.follow(Way(here + shares * (there - here)), seconds)
