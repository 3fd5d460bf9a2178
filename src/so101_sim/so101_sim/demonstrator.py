"""The hand of a leader arm by which the expert demonstrates; pure."""

import numpy as np
from numpy.typing import NDArray

from so101_sim.expert import Way, straight
from so101_sim.hand import Pose


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
        self.follow(straight(self.pose(seconds), self._way.poses[0]), seconds)
