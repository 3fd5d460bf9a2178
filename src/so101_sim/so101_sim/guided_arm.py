"""A leader arm: six servos on one bus, and a hand that moves them while they are limp; pure.

It has no mass and meets nothing. A limp joint is where the hand wants it, or on the way there; one
with torque goes to its servo's goal as a first-order system does.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_driver.calibration import Calibration
from so101_sim.arm import Arm

Pose = NDArray[np.float64]  # radians, shape (6,)

# Seconds, and rad/s, of a servo's way to its goal: about those of an STS3215 at 12 V.
_TIME_CONSTANT = 0.04
_SERVO_SPEED = 4.8

# rad/s. A hand that takes an arm over does not snatch at it.
_HAND_SPEED = 2.0

# Hertz: a hand that shows something, and is in no hurry.
_SLOWEST_MOTION, _FASTEST_MOTION = 0.02, 0.06

# The part of each joint's range that the hand uses.
_PART = 0.7


class Motion(Protocol):
    """Where a hand wants the joints."""

    def pose(self, seconds: float) -> Pose:
        """Return that at seconds since the start."""


class Hand:
    """A smooth motion of all joints inside their limits, another one for each seed."""

    def __init__(self, calibration: Calibration, seed: int) -> None:
        random = np.random.default_rng(seed)
        shape = (2, len(calibration.lower))  # two waves a joint, which do not repeat together
        self._frequencies = random.uniform(_SLOWEST_MOTION, _FASTEST_MOTION, shape)
        self._phases = random.uniform(0, 2 * np.pi, shape)
        self._middle = (calibration.lower + calibration.upper) / 2
        self._reach = _PART * (calibration.upper - calibration.lower) / 2

    def pose(self, seconds: float) -> Pose:
        waves = np.sin(2 * np.pi * self._frequencies * seconds + self._phases)
        return self._middle + self._reach * waves.mean(axis=0)


class GuidedArm:
    """Times are int nanoseconds; the arm advances when it is asked something. Not thread-safe."""

    def __init__(self, calibration: Calibration, hand: Motion, now: int) -> None:
        self.angles = hand.pose(0.0)
        self._hand = hand
        self._arm = Arm(calibration, self.angles)
        self._targets = self.angles
        self._strengths = np.zeros_like(self.angles)
        self._start = self._clock = now

    def receive(self, data: bytes, now: int) -> bytes:
        """Take bytes from the bus's host at a time, return the servos' replies."""
        self._advance(now)
        return self._arm.receive(data)

    def _advance(self, now: int) -> None:
        seconds = (now - self._clock) * 1e-9
        if seconds <= 0:
            return
        self._clock = now
        hand = self._hand.pose((now - self._start) * 1e-9)
        limp = self._strengths == 0
        way = np.where(limp, hand, self._targets) - self.angles
        reach = np.where(limp, _HAND_SPEED, _SERVO_SPEED) * seconds
        part = np.where(limp, 1.0, -math.expm1(-seconds / _TIME_CONSTANT))
        step = np.clip(way * part, -reach, reach)
        self.angles = self.angles + step
        drive = self._arm.exchange(self.angles, step / seconds, np.zeros_like(step), seconds)
        self._targets, self._strengths = drive
