"""What servos measured and what they were told, parsed from blocks of their registers; pure."""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from so101_driver.registers import FULL_SIZE, STATE_SIZE

# By the table in registers.py: position, speed, load, voltage, temperature, status, current.
_STATE_LAYOUT = 'HHHBBxBxxxH'
_STATE = Struct(f'<{_STATE_LAYOUT}')
# Before it: torque enable, goal position, torque limit.
_FULL = Struct(f'<BxHxxxxH6x{_STATE_LAYOUT}')


class Command(NamedTuple):
    """What a servo was told."""

    torque: int  # 1 = on
    goal: int  # steps
    torque_limit: int  # 0.1 %


class ServoStates:
    """The states of the servos asked, as lists in their order; whatever the servos said.

    `position` in steps, `speed` in steps/s, `status` the bits of servo_fault.py; `commands` is
    None when the blocks hold the state alone. Plain lists: for six values they are faster than
    arrays.
    """

    def __init__(self, blocks: Sequence[bytes]) -> None:
        """Take one block of each servo.

        All of 15 bytes from register 56, or all of 31 from 40; raises ValueError otherwise.
        """
        sizes = set(map(len, blocks))
        if sizes == {STATE_SIZE}:
            rows = [_STATE.unpack(block) for block in blocks]
            self.commands: list[Command] | None = None
        elif sizes == {FULL_SIZE}:
            full = [_FULL.unpack(block) for block in blocks]
            rows = [row[3:] for row in full]
            self.commands = [Command(row[0], _signed(row[1], 15), row[2]) for row in full]
        else:
            raise ValueError(f'state blocks of {sorted(sizes)} bytes')
        self._rows = rows
        self.position = [_signed(row[0], 15) for row in rows]
        self.speed = [_signed(row[1], 15) for row in rows]
        self.status: list[int] = [row[5] for row in rows]

    @property
    def load(self) -> list[float]:
        """The motor's drive, in percent of full PWM."""
        return [_signed(row[2], 10) * 0.1 for row in self._rows]

    @property
    def voltage(self) -> list[float]:
        """Volts."""
        return [row[3] * 0.1 for row in self._rows]

    @property
    def temperature(self) -> list[int]:
        """Degrees Celsius."""
        return [row[4] for row in self._rows]

    @property
    def current(self) -> list[float]:
        """Amperes."""
        return [_signed(row[6], 15) * 0.0065 for row in self._rows]


def _signed(word: int, sign: int) -> int:
    """Return the value of a word of sign and magnitude; as Register.decode, but faster."""
    top = 1 << sign
    return -(word & ~top) if word & top else word
