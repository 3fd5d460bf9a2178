"""Six servos mounted on the six joints, on one bus; pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_driver import registers as reg
from so101_driver.calibration import Calibration, JointCalibration
from so101_sim.servo import Servo
from so101_sim.servo_bus import ServoBus

_STEPS_PER_RADIAN = reg.STEPS_PER_TURN / (2 * np.pi)

# As LeRobot sets the gripper's servo, so that it does not burn while it holds something.
_OF_GRIPPER = {reg.MAX_TORQUE: 500, reg.PROTECTION_CURRENT: 250, reg.OVERLOAD_TORQUE: 25}


class Drive(NamedTuple):
    """What the servos ask of the physics, one value a joint."""

    targets: NDArray[np.float64]  # radians
    strengths: NDArray[np.float64]  # 0 = limp, 1 = full stall torque


class Arm:
    """The servos as a calibration of LeRobot describes them, at given joint angles (radians).

    The middle of a calibrated range is angle 0, of the gripper's the middle of its URDF range.
    """

    def __init__(self, calibration: Calibration, angles: ArrayLike) -> None:
        self._scale = np.full(len(JOINTS), _STEPS_PER_RADIAN)  # steps per radian
        if calibration.joints[GRIPPER].drive_mode == 1:  # as LeRobot, for the gripper only
            self._scale[GRIPPER] *= -1
        middles = [(joint.range_min + joint.range_max) / 2 for joint in calibration.joints]
        offsets = [joint.homing_offset for joint in calibration.joints]
        self._zeros = np.add(middles, offsets)  # the encoders' steps at joint angle 0
        self._zeros[GRIPPER] -= sum(URDF_LIMITS['gripper']) / 2 * self._scale[GRIPPER]
        shafts = self._zeros + np.asarray(angles) * self._scale
        self.servos = [
            Servo(joint.id, shaft, _eprom(joint) | (_OF_GRIPPER if name == 'gripper' else {}))
            for name, joint, shaft in zip(JOINTS, calibration.joints, shafts.tolist(), strict=True)
        ]
        self._bus = ServoBus(self.servos)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the bus's host, return the servos' replies."""
        return self._bus.receive(data)

    def exchange(
        self, angles: ArrayLike, speeds: ArrayLike, torques: ArrayLike, seconds: float
    ) -> Drive:
        """Give the servos what they sense, advance them, take what they drive.

        Radians, rad/s, parts of the stall torque; six of each.
        """
        shafts = (self._zeros + np.asarray(angles) * self._scale).tolist()
        rates = (np.asarray(speeds) * self._scale).tolist()
        pulls = (np.asarray(torques) * np.sign(self._scale)).tolist()
        drives = []
        sensed = zip(self.servos, shafts, rates, pulls, strict=True)
        for servo, shaft, rate, torque in sensed:
            servo.sense(shaft, rate, torque)
            drives.append(servo.step(seconds))
        targets, strengths = np.array(drives).T
        return Drive((targets - self._zeros) / self._scale, strengths)


def _eprom(joint: JointCalibration) -> dict[reg.Register, int]:
    return {
        reg.HOMING_OFFSET: joint.homing_offset,
        reg.MIN_POSITION: joint.range_min,
        reg.MAX_POSITION: joint.range_max,
    }
