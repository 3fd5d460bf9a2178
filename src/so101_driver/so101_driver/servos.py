"""The six servos of one arm on the bus, in the order of JOINTS."""

import time
from collections.abc import Sequence

from so101_description.joints import JOINTS
from so101_driver.bus import Bus, BusError
from so101_driver.calibration import EPROM_SIZE, Calibration
from so101_driver.registers import (
    ACCELERATION,
    GOAL_POSITION,
    GOAL_SPEED,
    GOAL_TIME,
    STATE_ADDRESS,
    STATE_SIZE,
    TORQUE_ENABLE,
)
from so101_driver.servo_state import ServoStates
from so101_node.error import UserError

# The command half of the table, from TORQUE_ENABLE to GOAL_SPEED. It is read as a whole, like the
# EPROM and the state, so that the length of a reply tells which of them it is.
_COMMAND_ADDRESS = TORQUE_ENABLE.address
_COMMAND_SIZE = GOAL_SPEED.address + GOAL_SPEED.size - _COMMAND_ADDRESS

_ATTEMPTS = 3  # to switch a servo's torque off


class Servos:
    """Reads, moves and releases the servos. Only RAM is written, never EPROM."""

    def __init__(self, bus: Bus, calibration: Calibration) -> None:
        self._bus = bus
        self._calibration = calibration
        self._ids = calibration.ids

    def find(self, patience: float) -> None:
        """Wait up to `patience` seconds until all answer; raises UserError naming the silent."""
        deadline = time.monotonic() + patience
        while silent := [self._name(servo) for servo in self._ids if not self._answers(servo)]:
            if time.monotonic() >= deadline:
                raise UserError(
                    f'no answer from {", ".join(silent)}: check the power supply, the cables from '
                    'servo to servo, and the ids'
                )

    def check_calibration(self) -> None:
        """Raise UserError when the servos hold another calibration than the file."""
        eproms = [self._bus.read(servo, 0, EPROM_SIZE) for servo in self._ids]
        if differences := self._calibration.differences(eproms):
            raise UserError(
                f'the servos differ from the calibration file: {"; ".join(differences)}. '
                "Give this arm's own file, or calibrate it again with lerobot-calibrate"
            )

    def read_states(self) -> ServoStates:
        """Read all states in one transaction; raises BusError when a servo does not answer."""
        return ServoStates(self._bus.sync_read(self._ids, STATE_ADDRESS, STATE_SIZE))

    def write_goals(self, ticks: Sequence[int]) -> None:
        """Send six goal positions in one transaction."""
        self._bus.sync_write(
            GOAL_POSITION.address,
            {
                servo: GOAL_POSITION.encode(goal)
                for servo, goal in zip(self._ids, ticks, strict=True)
            },
        )

    def torque_on(self, ticks: Sequence[int]) -> None:
        """Set the goals (the present positions), verify them, and only then switch torque on.

        Acceleration 0 and speed 0 (the maximum) let streamed goals track: any other acceleration
        starts its ramp anew with each goal. Raises BusError when a servo does not confirm.
        """
        commands = {
            servo: ACCELERATION.encode(0)
            + GOAL_POSITION.encode(goal)
            + GOAL_TIME.encode(0)
            + GOAL_SPEED.encode(0)
            for servo, goal in zip(self._ids, ticks, strict=True)
        }
        self._bus.sync_write(ACCELERATION.address, commands)
        for servo, command in commands.items():
            if self._command(servo)[1:] != command:
                raise BusError(f'{self._name(servo)} did not take its goal')
        self._bus.sync_write(TORQUE_ENABLE.address, dict.fromkeys(self._ids, b'\1'))
        for servo, command in commands.items():
            if self._command(servo) != b'\1' + command:
                raise BusError(f'{self._name(servo)} did not switch its torque on')

    def torque_off(self) -> list[str]:
        """Switch each servo's torque off, past every error; return those that did not confirm."""
        return [self._name(servo) for servo in self._ids if not self._release(servo)]

    def _release(self, servo: int) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                self._bus.write(servo, TORQUE_ENABLE.address, b'\0')
            except BusError:
                pass  # perhaps only the acknowledgement was lost
            try:
                if self._command(servo)[0] == 0:
                    return True
            except BusError:
                pass
        return False

    def _command(self, servo: int) -> bytes:
        return self._bus.read(servo, _COMMAND_ADDRESS, _COMMAND_SIZE)

    def _answers(self, servo: int) -> bool:
        try:
            self._bus.ping(servo)
        except BusError:
            return False
        return True

    def _name(self, servo: int) -> str:
        return f'{JOINTS[self._ids.index(servo)]} (id {servo})'
