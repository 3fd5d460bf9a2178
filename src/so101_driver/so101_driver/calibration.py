"""An arm's calibration, as LeRobot writes it: servo ids, ranges, ticks and radians; pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.units import dataset_to_radians
from so101_driver.packet import MAX_ID
from so101_driver.registers import (
    HOMING_OFFSET,
    MAX_POSITION,
    MIN_POSITION,
    MODE,
    MODEL,
    MODEL_STS3215,
    Register,
)
from so101_node.error import UserError

Ticks = NDArray[np.integer]
Radians = NDArray[np.float64]

MAX_TICK = 4095
MAX_OFFSET = 2047  # HOMING_OFFSET has 11 bits

# The EPROM half of a servo's table, as `Calibration.differences` takes it.
EPROM_SIZE = 40

# The gripper turns 0 to 100 around when its drive mode is 1. For joints in degrees LeRobot ignores
# the drive mode, and so does this.
_REVERSED = 1


@dataclass(frozen=True)
class JointCalibration:
    """One joint in the file; every value an integer, positions in ticks."""

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int


class Calibration:
    """Six joints in the order of JOINTS.

    `ids` are the servos; `lower` and `upper`, shape (6,), the limits in radians: the calibrated
    range, or the URDF's where the range is the whole turn, which LeRobot writes for a joint that
    it does not measure (wrist_roll).
    """

    def __init__(self, joints: Sequence[JointCalibration]) -> None:
        self.joints = tuple(joints)
        self.ids = tuple(joint.id for joint in joints)
        # Both scales are linear, so two points of LeRobot's definition give each of them.
        self._offset = dataset_to_radians(self._dataset(0))
        self._scale = dataset_to_radians(self._dataset(1)) - self._offset
        ends = np.array(
            [
                self._scale * [joint.range_min for joint in joints] + self._offset,
                self._scale * [joint.range_max for joint in joints] + self._offset,
            ]
        )
        for index, (name, joint) in enumerate(zip(JOINTS, joints, strict=True)):
            if index != GRIPPER and joint.range_max - joint.range_min >= MAX_TICK:
                ends[:, index] = URDF_LIMITS[name]
        self.lower, self.upper = ends.min(axis=0), ends.max(axis=0)

    def _dataset(self, tick: int) -> list[float]:
        values = [
            (tick - (joint.range_min + joint.range_max) / 2) * 360 / MAX_TICK
            for joint in self.joints
        ]
        gripper = self.joints[GRIPPER]
        percent = (tick - gripper.range_min) / (gripper.range_max - gripper.range_min) * 100
        values[GRIPPER] = 100 - percent if gripper.drive_mode == _REVERSED else percent
        return values

    def radians(self, ticks: Ticks) -> Radians:
        """Convert positions of shape (6,); the gripper's is clipped, as in LeRobot."""
        radians = ticks * self._scale + self._offset
        radians[GRIPPER] = min(max(radians[GRIPPER], self.lower[GRIPPER]), self.upper[GRIPPER])
        return radians

    def radians_per_second(self, speeds: Ticks) -> Radians:
        """Convert speeds of shape (6,) from ticks per second."""
        return speeds * self._scale

    def ticks(self, radians: Radians) -> list[int]:
        """Convert positions of shape (6,) to the nearest tick."""
        return [round(tick) for tick in ((radians - self._offset) / self._scale).tolist()]

    def outside(self, ticks: Ticks, tolerance: float) -> list[str]:
        """Return the joints whose servos are over `tolerance` radians outside their limits."""
        ends = np.sort([self.ticks(self.lower), self.ticks(self.upper)], axis=0)
        margin = tolerance * MAX_TICK / (2 * np.pi)
        beyond = np.maximum(ends[0] - ticks, ticks - ends[1]) > margin
        return [
            f'{JOINTS[i]} at {ticks[i]} of {ends[0][i]} to {ends[1][i]}'
            for i in np.flatnonzero(beyond)
        ]

    def differences(self, eproms: Sequence[bytes]) -> list[str]:
        """Compare with the EPROM (bytes 0 to 39) of each servo; return one text per difference."""
        found = []
        for name, joint, eprom in zip(JOINTS, self.joints, eproms, strict=True):
            expected: dict[str, tuple[Register, int]] = {
                'model number': (MODEL, MODEL_STS3215),
                'homing offset': (HOMING_OFFSET, joint.homing_offset),
                'minimum position': (MIN_POSITION, joint.range_min),
                'maximum position': (MAX_POSITION, joint.range_max),
                # In any other mode a goal is a speed, a power or a step from here.
                'mode': (MODE, 0),
            }
            for what, (register, value) in expected.items():
                stored = register.decode(eprom[register.address :])
                if stored != value:
                    found.append(f'{name} {what} is {stored}, not {value}')
        return found


def load(path: str | Path) -> Calibration:
    """Load LeRobot's calibration file; raises UserError with the file and the key at fault."""
    path = Path(path).expanduser()
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f'calibration {path}: {error.strerror}') from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise UserError(f'calibration {path}: not a JSON file: {error}') from error
    _check_keys(path, 'the file', content, JOINTS)
    joints = [_joint(path, name, content[name]) for name in JOINTS]
    ids = [joint.id for joint in joints]
    if len(set(ids)) < len(ids):
        raise UserError(f'calibration {path}: the ids {ids} are not distinct')
    return Calibration(joints)


def _joint(path: Path, name: str, content: Any) -> JointCalibration:
    _check_keys(path, name, content, [field.name for field in fields(JointCalibration)])
    ranges = {
        'id': (0, MAX_ID),
        'drive_mode': (0, 1),
        'homing_offset': (-MAX_OFFSET, MAX_OFFSET),
        'range_min': (0, MAX_TICK),
        'range_max': (0, MAX_TICK),
    }
    for key, (low, high) in ranges.items():
        value = content[key]
        if type(value) is not int or not low <= value <= high:
            raise UserError(
                f'calibration {path}: {name}.{key} is {value!r}, not an integer {low} to {high}'
            )
    if content['range_min'] >= content['range_max']:
        raise UserError(
            f'calibration {path}: {name}.range_min is {content["range_min"]}, '
            f'not below range_max {content["range_max"]}'
        )
    return JointCalibration(**content)


def _check_keys(path: Path, where: str, content: Any, expected: Sequence[str]) -> None:
    if not isinstance(content, dict):
        raise UserError(f'calibration {path}: {where} is not a table of {", ".join(expected)}')
    for problem, keys in (
        ('lacks', set(expected) - set(content)),
        ('has unknown', set(content) - set(expected)),
    ):
        if keys:
            raise UserError(f'calibration {path}: {where} {problem} {", ".join(sorted(keys))}')
