"""The arm's state machine: what the servos are told next, and when nothing; pure.

disconnected -> idle (torque off) -> active (a trajectory runs) / holding -> fault (latched).
"""

import math
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_driver.calibration import Calibration
from so101_driver.limits import Limits
from so101_driver.servo_state import ServoStates
from so101_driver.trajectory import Schedule, parse
from so101_node.error import UserError

Array = NDArray[np.float64]

# Radians. A limp joint rests against its stop, a little outside the range that was measured.
TOLERANCE = np.deg2rad(2.0)

# Radians. When a fault is cleared, a joint further than this from its reference was moved by hand
# or gave way: it stays where it is. Droop under load is 2 to 3 degrees.
DISPLACED = np.deg2rad(5.0)

_CURES = {
    'voltage': 'check the power supply',
    'encoder': 'switch the power off and on',
    'temperature': 'let it cool',
    'current': 'free the joint',
    'overload': 'free the joint of its load',
}


class State(StrEnum):
    DISCONNECTED = 'disconnected'
    IDLE = 'idle'
    ACTIVE = 'active'
    HOLDING = 'holding'
    FAULT = 'fault'


class Arm:
    """Times are int nanoseconds of system time. Not thread-safe.

    `reference` is what the servos were last told, radians (6,), and None while torque is off;
    `velocity` its rate in rad/s; `states` the last measurement. In a fault with torque on, the
    reference stands still: the servos hold the arm, and one that overloads protects itself.
    """

    def __init__(self, calibration: Calibration, max_velocity: float) -> None:
        self.calibration = calibration
        self.limits = Limits(calibration.lower, calibration.upper, max_velocity)
        self.connected = False
        self.fault = ''  # the reason, and what to do
        self.reference: Array | None = None
        self.velocity: Array = np.zeros(len(JOINTS))
        self.states: ServoStates | None = None
        self.received = 0  # trajectories
        self.rejected = 0
        self.started = 0  # whose first goal was written to the bus
        self.last_rejection = ''
        self._schedule = Schedule()
        self._starting = False
        self._stepped = 0

    @property
    def state(self) -> State:
        if self.fault:
            return State.FAULT
        if not self.connected:
            return State.DISCONNECTED
        if self.reference is None:
            return State.IDLE
        return State.ACTIVE if self._schedule else State.HOLDING

    @property
    def torque(self) -> bool:
        return self.reference is not None

    def connect(self) -> None:
        """The servos were found, and their torque is off."""
        self.connected = True

    def disconnect(self, reason: str) -> None:
        """The servos were lost; a fault if torque was on."""
        self.connected = False
        if self.torque:
            self.fail(f'{reason}; check the power supply and the cables, then arm/clear_fault')
        self.torque_off()

    def fail(self, reason: str) -> None:
        """Latch a fault; the first reason stays."""
        self.fault = self.fault or reason
        self._schedule.clear()
        self.velocity = np.zeros(len(JOINTS))

    def stop(self) -> None:
        """Hold the present reference until the fault is cleared."""
        self.fail('stopped by arm/stop; go on with arm/clear_fault')

    def clear_fault(self) -> None:
        """Leave the fault; raises UserError while a servo still reports one."""
        if not self.fault:
            return
        if not self.connected:
            raise UserError('the servos do not answer: check the power supply and the cables')
        if self.states is not None and self.states.faulty:
            raise UserError(f'{_faults(self.states)}; if it persists, switch arm/torque off first')
        if self.reference is not None and self.states is not None:
            present = self.calibration.radians(self.states.position)
            displaced = np.abs(present - self.reference) > DISPLACED
            self.reference = np.where(displaced, present, self.reference)
        self.fault = ''

    def check_torque_on(self, states: ServoStates) -> None:
        """Raise UserError unless torque may come on with these fresh states."""
        if self.fault:
            raise UserError(f'torque stays off: {self.fault}')
        if states.faulty:
            raise UserError(f'torque stays off: {_faults(states)}')
        if outside := self.calibration.outside(states.position, TOLERANCE):
            raise UserError(
                f'torque stays off: {", ".join(outside)} is outside its limits (ticks); '
                'move it inside by hand, or check the calibration'
            )

    def torque_on(self, now: int, states: ServoStates) -> None:
        """Torque is on, with the positions of `states` as goals."""
        self.reference = self.calibration.radians(states.position)
        self.velocity = np.zeros(len(JOINTS))
        self._stepped = now
        self._starting = False

    def torque_off(self) -> None:
        """Torque is off, or about to be."""
        self.reference = None
        self._schedule.clear()

    def accept(self, message: Any, now: int) -> None:
        """Take a trajectory_msgs/JointTrajectory; raises UserError with the reason if refused."""
        self.received += 1
        try:
            if self.fault:
                raise UserError(self.fault)
            if not self.torque:
                raise UserError('torque is off: switch it on with arm/torque')
            self._schedule.add(parse(message, now))
        except UserError as error:
            self.rejected += 1
            self.last_rejection = str(error)
            raise

    def step(self, now: int, states: ServoStates) -> list[int] | None:
        """Take a measurement; return six goals in ticks, or None for a limp arm.

        Once these are written, call `written`.
        """
        self.states = states
        if self.reference is None:
            return None
        if states.faulty and not self.fault:
            self.fail(f'{_faults(states)}, then arm/clear_fault')
        seconds = (now - self._stepped) * 1e-9
        self._stepped = now
        if self._schedule.advance(now, self.reference, self.velocity):
            self._starting = True
        target = self._schedule.target(now)
        if target is None:
            self.velocity = np.zeros(len(JOINTS))
        elif not all(map(math.isfinite, target.tolist())):
            self.fail('the trajectory is not finite; check its sender, then arm/clear_fault')
        else:
            previous = self.reference
            self.reference, reached = self.limits.approach(previous, target, seconds)
            if seconds > 0:
                self.velocity = (self.reference - previous) / seconds
            if reached:
                self._schedule.finish(now)
        return self.calibration.ticks(self.reference)

    def written(self) -> None:
        """The goals of the last step reached the servos."""
        self.started += self._starting
        self._starting = False


def _faults(states: ServoStates) -> str:
    texts = []
    for index, joint in enumerate(JOINTS):
        for fault in states.faults(index):
            texts.append(f'{joint} reports {fault}: {_CURES.get(fault, "see its manual")}')
    return ', '.join(texts)
