"""A leader arm: six servos on one bus, and a hand that moves them while they are limp; pure.

It has no mass and meets nothing. A limp joint is where the hand wants it, or, when its servo has
let go of it, smoothly on the way there; one with torque goes to its servo's goal as a first-order
system does.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_description.units import dataset_to_radians
from so101_driver.calibration import Calibration
from so101_sim.arm import Arm

Pose = NDArray[np.float64]  # radians, shape (6,)

# Seconds, and rad/s, of a servo's way to its goal: about those of an STS3215 at 12 V.
_TIME_CONSTANT = 0.04
_SERVO_SPEED = 4.8

# Seconds in which a hand takes a joint over: the quarter turns from home at 1.2 rad/s at most.
_TAKE_OVER = 2.5

# Hertz: a hand that shows something, and is in no hurry.
_SLOWEST_MOTION, _FASTEST_MOTION = 0.02, 0.06

# Degrees, the gripper's 0 to 100: the middle of the hand's motion, and how far it goes from there.
# An arm that is led so, and on straight ways there from home, stays 3 cm above table and bowl.
_MIDDLE = (0.0, -60.0, 30.0, 50.0, 60.0, 40.0)
_REACH = (45.0, 20.0, 20.0, 25.0, 60.0, 30.0)


class Motion(Protocol):
    """Where a hand wants the joints."""

    def pose(self, seconds: float) -> Pose:
        """Return that at seconds since the start."""


class Hand:
    """A smooth motion of all joints above the table, another one for each seed."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        shape = (2, len(JOINTS))  # two waves a joint, which do not repeat together
        self._frequencies = random.uniform(_SLOWEST_MOTION, _FASTEST_MOTION, shape)
        self._phases = random.uniform(0, 2 * np.pi, shape)

    def pose(self, seconds: float) -> Pose:
        waves = np.sin(2 * np.pi * self._frequencies * seconds + self._phases)
        return dataset_to_radians(np.array(_MIDDLE) + np.array(_REACH) * waves.mean(axis=0))


class GuidedArm:
    """Times are int nanoseconds; the arm advances when it is asked something. Not thread-safe."""

    def __init__(self, calibration: Calibration, hand: Motion, now: int) -> None:
        self.angles = hand.pose(0.0)
        self._hand = hand
        self._arm = Arm(calibration, self.angles)
        self._targets = self.angles
        self._strengths = np.zeros_like(self.angles)
        self._start = self._clock = now
        # When and where the hand took each joint over.
        self._limp = np.full(self.angles.shape, True)
        self._taken = np.full(self.angles.shape, -np.inf)
        self._grip = self.angles.copy()

    def receive(self, data: bytes, now: int) -> bytes:
        """Take bytes from the bus's host at a time, return the servos' replies."""
        self._advance(now)
        return self._arm.receive(data)

    def _advance(self, now: int) -> None:
        seconds = (now - self._clock) * 1e-9
        if seconds <= 0:
            return
        limp = self._strengths == 0
        let_go = limp & ~self._limp
        self._limp = limp
        self._taken[let_go] = self._clock
        self._grip[let_go] = self.angles[let_go]
        self._clock = now
        driven = (self._targets - self.angles) * -math.expm1(-seconds / _TIME_CONSTANT)
        reach = _SERVO_SPEED * seconds
        guided = self._guided(now) - self.angles
        step = np.where(limp, guided, np.clip(driven, -reach, reach))
        self.angles = self.angles + step
        drive = self._arm.exchange(self.angles, step / seconds, np.zeros_like(step), seconds)
        self._targets, self._strengths = drive

    def _guided(self, now: int) -> Pose:
        """Return where the hand leads each joint: to its own motion, from where it took it."""
        part = np.clip((now - self._taken) * 1e-9 / _TAKE_OVER, 0.0, 1.0)
        share = part**3 * (10 - 15 * part + 6 * part**2)  # at rest at both ends
        return self._grip + share * (self._hand.pose((now - self._start) * 1e-9) - self._grip)
