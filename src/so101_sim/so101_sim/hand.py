"""What moves a leader arm's limp joints: a hand; pure."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_description.units import dataset_to_radians

Pose = NDArray[np.float64]  # radians, shape (6,)

# Seconds in which waves take a joint over: the quarter turns from home at 1.2 rad/s at most.
_TAKE_OVER = 2.5

# Hertz: a hand that shows something, and is in no hurry.
_SLOWEST_MOTION, _FASTEST_MOTION = 0.02, 0.06

# Degrees, the gripper's 0 to 100: the middle of the waves, and how far they go from there. An arm
# that is led so, and on straight ways there from home, stays 3 cm above table and bowl.
_MIDDLE = (0.0, -60.0, 30.0, 50.0, 60.0, 40.0)
_REACH = (45.0, 20.0, 20.0, 25.0, 60.0, 30.0)


# How many times its mean speed a smooth way goes in its middle.
FASTEST_OF_MEAN = 15 / 8


class Hand(Protocol):
    """Seconds are those of the arm that it moves, which begins at 0 in the hand."""

    def take(self, joints: NDArray[np.bool_], angles: Pose, seconds: float) -> None:
        """Take the joints of a mask over: their servos have let go of them at these angles."""

    def pose(self, seconds: float) -> Pose:
        """Return where it wants the joints. Asked for times that do not run backwards."""


class Waves:
    """A smooth motion of all joints above the table, another one for each seed.

    It shows that a leader is followed, and does nothing.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        shape = (2, len(JOINTS))  # two waves a joint, which do not repeat together
        self._frequencies = random.uniform(_SLOWEST_MOTION, _FASTEST_MOTION, shape)
        self._phases = random.uniform(0, 2 * np.pi, shape)
        # When and where each joint was taken over.
        self._taken = np.full(len(JOINTS), -np.inf)
        self._grip = np.zeros(len(JOINTS))

    def take(self, joints: NDArray[np.bool_], angles: Pose, seconds: float) -> None:
        self._taken[joints] = seconds
        self._grip[joints] = angles[joints]

    def pose(self, seconds: float) -> Pose:
        """Return that of the motion, or, of what was taken over, one smoothly on the way there."""
        waves = np.sin(2 * np.pi * self._frequencies * seconds + self._phases)
        motion = dataset_to_radians(np.array(_MIDDLE) + np.array(_REACH) * waves.mean(axis=0))
        part = np.clip((seconds - self._taken) / _TAKE_OVER, 0.0, 1.0)
        return self._grip + smooth(part) * (motion - self._grip)


def smooth(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of a way is behind, at parts of its time: at rest at both ends.

    Minimum jerk, as hands move (Flash and Hogan, 1985).
    """
    return part**3 * (10 - 15 * part + 6 * part**2)
