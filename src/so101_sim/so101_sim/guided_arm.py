"""A leader arm: six servos on one bus, and a hand that moves them while they are limp; pure.

It has no mass and meets nothing. A limp joint is where the hand wants it; one with torque goes to
its servo's goal as a first-order system does.
"""

import math

import numpy as np

from so101_driver.calibration import Calibration
from so101_sim.arm import Arm
from so101_sim.hand import Hand

# Seconds, and rad/s, of a servo's way to its goal: about those of an STS3215 at 12 V.
_TIME_CONSTANT = 0.04
_SERVO_SPEED = 4.8


class GuidedArm:
    """Times are int nanoseconds; the arm advances when it is asked something. Not thread-safe."""

    def __init__(self, calibration: Calibration, hand: Hand, now: int) -> None:
        self.angles = hand.pose(0.0)
        self._hand = hand
        self._arm = Arm(calibration, self.angles)
        self._targets = self.angles
        self._strengths = np.zeros_like(self.angles)
        self._start = self._clock = now
        self._limp = np.full(self.angles.shape, True)

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
        if let_go.any():
            self._hand.take(let_go, self.angles, self._seconds)
        self._limp = limp
        self._clock = now
        driven = (self._targets - self.angles) * -math.expm1(-seconds / _TIME_CONSTANT)
        reach = _SERVO_SPEED * seconds
        guided = self._hand.pose(self._seconds) - self.angles
        step = np.where(limp, guided, np.clip(driven, -reach, reach))
        self.angles = self.angles + step
        drive = self._arm.exchange(self.angles, step / seconds, np.zeros_like(step), seconds)
        self._targets, self._strengths = drive

    @property
    def _seconds(self) -> float:
        return (self._clock - self._start) * 1e-9
