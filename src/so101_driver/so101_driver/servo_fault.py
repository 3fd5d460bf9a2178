"""What a servo can report of itself, and what the arm does about each: said once; pure.

The bits are those of register 65 and of the error byte in every reply. Source: Feetech's memory
table of the STS series.
"""

from enum import Enum
from typing import NamedTuple


class Reaction(Enum):
    """What the arm does when a joint is in trouble. In every case all joints stop and hold."""

    HOLD = 'the joint holds, too'
    YIELD = 'the joint holds where it is, no longer pulling'
    RELEASE = 'the joint goes limp'


class ServoFault(NamedTuple):
    bit: int
    name: str
    reaction: Reaction
    cure: str


SERVO_FAULTS = (
    ServoFault(
        1,
        'voltage',
        Reaction.HOLD,
        'measure the power supply; these servos want 12 V, or 5 to 7.4 V, by their label',
    ),
    # A servo that does not know where it is may run away, so it must not pull.
    ServoFault(
        2,
        'encoder',
        Reaction.RELEASE,
        'switch the power off and on; replace the servo if it comes again',
    ),
    ServoFault(
        4,
        'temperature',
        Reaction.HOLD,
        'support the arm, switch arm/torque off and let it cool',
    ),
    ServoFault(8, 'current', Reaction.YIELD, 'free the joint of what blocks it'),
    # The servo has cut its own torque; a goal far away would only keep it overloaded.
    ServoFault(
        32,
        'overload',
        Reaction.YIELD,
        'free the joint of its load; if it stays, support the arm and switch arm/torque off',
    ),
)

_KNOWN = sum(fault.bit for fault in SERVO_FAULTS)


def reported(status: int) -> list[ServoFault]:
    """Return the faults in a status byte; bits that nobody documents make one fault more."""
    found = [fault for fault in SERVO_FAULTS if status & fault.bit]
    if unknown := status & ~_KNOWN:
        found.append(
            ServoFault(unknown, f'status {unknown}', Reaction.HOLD, "see the servo's manual")
        )
    return found
