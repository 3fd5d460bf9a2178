"""An arm's calibration: servo ids, ranges, and LeRobot's scales between ticks and radians; pure.

The conversions are LeRobot 0.6.1's to the last bit (`_normalize` and `_unnormalize` of its motor
bus), so that a dataset recorded here and one recorded there mean the same. Three properties of
theirs are therefore kept: a turn has 4095 parts, not 4096; degrees are neither clipped nor turned
around by a drive mode; the fraction of a tick is cut off, not rounded. Because of the last,
`ticks(radians(tick))` is one tick less for about one tick in forty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.units import dataset_to_radians, radians_to_dataset

Ticks = NDArray[np.integer] | Sequence[int]
Radians = NDArray[np.float64]

# A leader arm is moved by hand, a follower by the driver.
Role = Literal['follower', 'leader']

MAX_TICK = 4095
MAX_OFFSET = 2047  # HOMING_OFFSET has 11 bits


class Scale(Enum):
    """What LeRobot records for a joint, by its own names."""

    DEGREES = 'degrees'  # around the middle of the range; the arm joints' since 0.4.4
    RANGE_M100_100 = 'range_m100_100'  # percent around the middle; the arm joints' before
    RANGE_0_100 = 'range_0_100'  # percent of the range; the gripper's


@dataclass(frozen=True)
class JointCalibration:
    """One joint in the file; every value an integer, positions in ticks.

    `drive_mode` 1 turns both percent scales around. Degrees ignore it.
    """

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int

    def value(self, tick: int, scale: Scale) -> float:
        """Convert a position to what LeRobot records; percentages are clipped to the range."""
        if scale is Scale.DEGREES:
            return (tick - (self.range_min + self.range_max) / 2) * 360 / MAX_TICK
        inside = min(self.range_max, max(self.range_min, tick))
        part = (inside - self.range_min) / (self.range_max - self.range_min)
        if scale is Scale.RANGE_0_100:
            return 100 - part * 100 if self.drive_mode else part * 100
        around = part * 200 - 100
        return -around if self.drive_mode else around

    def tick(self, value: float, scale: Scale) -> int:
        """Convert what LeRobot records to a position; percentages are clipped to the range."""
        if scale is Scale.DEGREES:
            return int(value * MAX_TICK / 360 + (self.range_min + self.range_max) / 2)
        span = self.range_max - self.range_min
        if scale is Scale.RANGE_0_100:
            percent = 100 - value if self.drive_mode else value
            return int(min(100.0, max(0.0, percent)) / 100 * span + self.range_min)
        around = min(100.0, max(-100.0, -value if self.drive_mode else value))
        return int((around + 100) / 200 * span + self.range_min)


class Calibration:
    """Six joints in the order of JOINTS.

    `ids` are the servos; `lower` and `upper`, shape (6,), the limits in radians: the calibrated
    range, or the URDF's where the range is the whole turn, which LeRobot writes for a joint that
    it does not measure (wrist_roll).
    """

    def __init__(self, joints: Sequence[JointCalibration]) -> None:
        self.joints = tuple(joints)
        self.ids = tuple(joint.id for joint in joints)
        first = [joint.range_min for joint in joints]
        last = [joint.range_max for joint in joints]
        ends = np.array([self.radians(first), self.radians(last)])
        whole = [
            index
            for index in range(len(JOINTS))
            if index != GRIPPER and last[index] - first[index] >= MAX_TICK
        ]
        for index in whole:
            ends[:, index] = URDF_LIMITS[JOINTS[index]]
        self.lower, self.upper = ends.min(axis=0), ends.max(axis=0)
        for index in whole:
            first[index] = self.ticks(self.lower)[index]
            last[index] = self.ticks(self.upper)[index]
        self._ends = tuple(zip(first, last, strict=True))
        gripper = joints[GRIPPER]
        percent = 100 / (gripper.range_max - gripper.range_min)
        per_tick = [360 / MAX_TICK] * GRIPPER + [-percent if gripper.drive_mode else percent]
        # Radians a tick, for speeds.
        self._slope = dataset_to_radians(per_tick) - dataset_to_radians([0.0] * len(JOINTS))

    def dataset(self, ticks: Ticks, arm: Scale = Scale.DEGREES) -> list[float]:
        """Convert six positions to LeRobot's values, the arm joints' in the scale `arm`."""
        scales = (arm,) * GRIPPER + (Scale.RANGE_0_100,)
        return [
            joint.value(position, scale)
            for joint, position, scale in zip(self.joints, _plain(ticks), scales, strict=True)
        ]

    def ticks_of_dataset(self, values: Sequence[float], arm: Scale = Scale.DEGREES) -> list[int]:
        """Convert six of LeRobot's values to positions, the arm joints' given in the scale `arm`.

        The values must be finite.
        """
        scales = (arm,) * GRIPPER + (Scale.RANGE_0_100,)
        return [
            joint.tick(value, scale)
            for joint, value, scale in zip(self.joints, values, scales, strict=True)
        ]

    def radians(self, ticks: Ticks) -> Radians:
        """Convert positions of shape (6,); the gripper's is clipped to its range."""
        return dataset_to_radians(self.dataset(ticks))

    def radians_per_second(self, speeds: Ticks) -> Radians:
        """Convert speeds of shape (6,) from ticks per second."""
        return np.asarray(speeds) * self._slope

    def ticks(self, radians: Radians) -> list[int]:
        """Convert positions of shape (6,), the fraction of a tick cut off."""
        return self.ticks_of_dataset(radians_to_dataset(radians).tolist())

    def inside(self, ticks: Ticks) -> list[int]:
        """Return the positions nearest to six that the servos take for goals: their own limits."""
        return [
            min(max(tick, joint.range_min), joint.range_max)
            for tick, joint in zip(_plain(ticks), self.joints, strict=True)
        ]

    def outside(self, ticks: Ticks, tolerance: float) -> list[str]:
        """Return the joints whose servos are over `tolerance` radians outside their limits."""
        margin = tolerance * MAX_TICK / (2 * np.pi)
        return [
            f'{name} at {tick} of {low} to {high}'
            for name, tick, (low, high) in zip(JOINTS, _plain(ticks), self._ends, strict=True)
            if not low - margin <= tick <= high + margin
        ]


def _plain(ticks: Ticks) -> Sequence[int]:
    """Return Python's own numbers, which are faster one by one, and what LeRobot computes with."""
    return ticks.tolist() if isinstance(ticks, np.ndarray) else ticks
