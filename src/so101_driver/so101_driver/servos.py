"""The six servos of one arm on the bus, in the order of JOINTS."""

import time
from collections.abc import Mapping, Sequence

from so101_description.joints import JOINTS
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.calibration import Calibration
from so101_driver.monitor import Reading
from so101_driver.registers import (
    ACCELERATION,
    COMMAND_ADDRESS,
    COMMAND_SIZE,
    FULL_ADDRESS,
    FULL_SIZE,
    GOAL_POSITION,
    GOAL_SPEED,
    GOAL_TIME,
    STATE_ADDRESS,
    STATE_SIZE,
    TORQUE_ENABLE,
    TORQUE_LIMIT,
)
from so101_driver.release import release
from so101_driver.servo_state import ServoStates
from so101_node.error import UserError

_ALL = tuple(range(len(JOINTS)))


class Servos:
    """Reads, moves and releases the servos; joints are places in JOINTS. Only RAM is written."""

    def __init__(self, bus: Bus, calibration: Calibration) -> None:
        self._bus = bus
        self._ids = calibration.ids
        self._blocks: list[bytes] = []  # the last state of each

    def find(self, patience: float) -> None:
        """Wait up to `patience` seconds until all answer; raises UserError naming the silent."""
        deadline = time.monotonic() + patience
        while silent := [self.name(joint) for joint in _ALL if not self._answers(joint)]:
            if time.monotonic() >= deadline:
                raise UserError(
                    f'no answer from {", ".join(silent)}: check the power supply, the cables from '
                    'servo to servo, and the ids'
                )

    def read(self, commands: bool = False) -> Reading:
        """Read all states in one transaction, `commands` with what the servos were told.

        A joint that does not answer is `silent`, with its last state. Raises BusError when a joint
        has never answered, PortGone when the port is gone.
        """
        address, size = (FULL_ADDRESS, FULL_SIZE) if commands else (STATE_ADDRESS, STATE_SIZE)
        try:
            blocks = self._bus.sync_read(self._ids, address, size)
        except PortGone:
            raise
        except BusError as error:
            return self._partial(error, commands)
        self._blocks = blocks
        return Reading(ServoStates(blocks))

    def _partial(self, error: BusError, commands: bool) -> Reading:
        """Put the last states in the place of those that did not come."""
        if not self._blocks:
            raise error
        # Only the state half is of equal length in all, and commands of long ago mean nothing.
        silent = tuple(joint for joint in _ALL if self._ids[joint] not in error.replies)
        self._blocks = [
            error.replies.get(servo, last)[-STATE_SIZE:]
            for servo, last in zip(self._ids, self._blocks, strict=True)
        ]
        if not commands:
            return Reading(ServoStates(self._blocks), silent)
        limp = bytes(FULL_SIZE - STATE_SIZE)
        full = [
            error.replies.get(servo, limp + last)
            for servo, last in zip(self._ids, self._blocks, strict=True)
        ]
        return Reading(ServoStates(full), silent)

    def write_goals(self, goals: Mapping[int, int]) -> None:
        """Send goal positions (ticks by joint) in one transaction."""
        if goals:
            self._bus.sync_write(
                GOAL_POSITION.address,
                {self._ids[joint]: GOAL_POSITION.encode(goal) for joint, goal in goals.items()},
            )

    def write_torque_limits(self, limits: Mapping[int, int]) -> None:
        """Send torque limits (0.1 % by joint) in one transaction."""
        if limits:
            self._bus.sync_write(
                TORQUE_LIMIT.address,
                {self._ids[joint]: TORQUE_LIMIT.encode(limit) for joint, limit in limits.items()},
            )

    def torque_on(self, goals: Sequence[int], limits: Sequence[int]) -> None:
        """Set goals (the present positions) and torque limits, verify them, then torque on.

        Acceleration 0 and speed 0 (the maximum) let streamed goals track: any other acceleration
        starts its ramp anew with each goal. Raises BusError when a servo does not confirm.
        """
        commands = {
            servo: ACCELERATION.encode(0)
            + GOAL_POSITION.encode(goal)
            + GOAL_TIME.encode(0)
            + GOAL_SPEED.encode(0)
            + TORQUE_LIMIT.encode(limit)
            for servo, goal, limit in zip(self._ids, goals, limits, strict=True)
        }
        self._bus.sync_write(ACCELERATION.address, commands)
        told = self._bus.sync_read(self._ids, COMMAND_ADDRESS, COMMAND_SIZE)
        for joint, block in enumerate(told):
            if block[1:] != commands[self._ids[joint]]:
                raise BusError(f'{self.name(joint)} did not take its goal')
        self._bus.sync_write(TORQUE_ENABLE.address, dict.fromkeys(self._ids, b'\1'))
        told = self._bus.sync_read(self._ids, COMMAND_ADDRESS, COMMAND_SIZE)
        for joint, block in enumerate(told):
            if block != b'\1' + commands[self._ids[joint]]:
                raise BusError(f'{self.name(joint)} did not switch its torque on')

    def torque_off(self, joints: Sequence[int] = _ALL) -> list[str]:
        """Switch each servo's torque off, past every error; return those that did not confirm."""
        held = release(self._bus, [self._ids[joint] for joint in joints])
        return [self.name(self._ids.index(servo)) for servo in held]

    def name(self, joint: int) -> str:
        return f'{JOINTS[joint]} (id {self._ids[joint]})'

    def _answers(self, joint: int) -> bool:
        try:
            self._bus.ping(self._ids[joint])
        except PortGone as error:
            raise UserError(str(error)) from error
        except BusError:
            return False
        return True
