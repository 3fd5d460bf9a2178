"""Six servos mounted on the six joints, on one bus; pure."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_driver import registers as reg
from so101_driver.calibration import Calibration, JointCalibration
from so101_driver.eprom import GRIPPER_SETTINGS
from so101_sim import fault
from so101_sim.fault import Fault, Order, Place
from so101_sim.servo import Servo
from so101_sim.servo_bus import ServoBus

_STEPS_PER_RADIAN = reg.STEPS_PER_TURN / (2 * np.pi)

# Steps from a servo to the unmounted one that has its id too.
_TWIN_DISTANCE = 1000


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
        self._eproms = [
            _eprom(joint) | (GRIPPER_SETTINGS if name == 'gripper' else {})
            for name, joint in zip(JOINTS, calibration.joints, strict=True)
        ]
        self.servos = [
            Servo(joint.id, shaft, eprom)
            for joint, shaft, eprom in zip(
                calibration.joints, shafts.tolist(), self._eproms, strict=True
            )
        ]
        self._bus = ServoBus(self.servos)
        self._twins: dict[int, Servo] = {}  # by the joint whose servo's id they have

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the bus's host, return the servos' replies."""
        return self._bus.receive(data)

    @property
    def faults(self) -> list[Order]:
        """The orders that give the faults which are on."""
        orders = [Order(kind, (), left) for kind, left in self._bus.wire.faults.items()]
        for joint, servo in enumerate(self.servos):
            for kind, value in servo.faults.items():
                if kind.place is Place.SERVO:
                    orders.append(Order(kind, (joint,), value))
                elif joint == 0:  # all have the one supply
                    orders.append(Order(kind, (), value))
        return orders

    def inject(self, order: Order) -> None:
        """Switch a fault of the wire, the supply or the servos on or off, or all of them off."""
        kind = order.fault
        match kind.place:
            case Place.WIRE if order.on:
                self._bus.wire.faults[kind] = order.value
            case Place.WIRE:
                self._bus.wire.faults.pop(kind, None)
            case Place.SERVO:
                for joint in order.joints:
                    self._set_fault(joint, kind, order.value, order.on)
            case Place.SUPPLY:
                for joint in range(len(JOINTS)):
                    self._set_fault(joint, kind, order.value, order.on)
            case Place.EVERYWHERE:
                for active in self.faults:
                    self.inject(replace(active, on=False))

    def _set_fault(self, joint: int, kind: Fault, value: float, on: bool) -> None:
        servo = self.servos[joint]
        if on:
            servo.inject(kind, value)
        else:
            servo.clear(kind)
        if kind is fault.DUPLICATE:
            self._set_twin(joint, on)

    def _set_twin(self, joint: int, on: bool) -> None:
        """Put a second servo of the same id on the bus, or take it off."""
        twin = self._twins.pop(joint, None)
        if twin is not None:
            self._bus.servos.remove(twin)
        if on:
            servo = self.servos[joint]
            twin = Servo(servo.id, servo.angle + _TWIN_DISTANCE, self._eproms[joint])
            self._twins[joint] = twin
            self._bus.servos.append(twin)

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
