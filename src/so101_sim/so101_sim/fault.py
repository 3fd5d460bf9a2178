"""Every fault that the emulated arm can have, said once, and the text that orders one; pure.

    overload elbow_flex        hot all 80        late 10        late off        unplug        clear

An order is the fault's name, for a servo's fault a joint or `all`, then a number or `off`.
Sources of the faults: LeRobot's and other drivers' public reports, and measurements.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_sim.camera_fault import CAMERA

LATE_SECONDS = 0.12  # as measured: one reply so late put LeRobot two samples behind for good
REBOOT_SECONDS = 0.8  # of silence
STALE_STEPS = 557  # 49 degrees: a lunge on public record
FORGIVEN_STEPS = 8  # from goal to position

ALL = 'all'


class Place(Enum):
    """Where a fault is: the servo's joint is part of its order."""

    WIRE = auto()
    SERVO = auto()
    SUPPLY = auto()
    PORT = auto()
    EVERYWHERE = auto()


class Argument(NamedTuple):
    """An optional number of an order: its unit, the value when it is left out, the bounds."""

    unit: str
    default: float
    low: float
    high: float
    whole: bool = False


# For so many of the next answered requests; without a number until off.
_REQUESTS = Argument('REQUESTS', math.inf, 1, 100_000, whole=True)


@dataclass(frozen=True, eq=False)
class Fault:
    """What can go wrong. One that is over at once does not last, and has no `off`."""

    name: str
    place: Place
    effect: str
    argument: Argument | None = None
    lasts: bool = True

    @property
    def form(self) -> str:
        """How it is ordered, words to be filled in capitals."""
        words = [self.name]
        if self.place is Place.SERVO:
            words.append('JOINT')
        if self.argument:
            words.append(f'[{self.argument.unit}]')
        return ' '.join(words)


LATE = Fault(
    'late', Place.WIRE, 'replies come 120 ms late; later requests are served meanwhile', _REQUESTS
)
LOST = Fault('lost', Place.WIRE, 'replies are lost; the servos did what was asked', _REQUESTS)
TRUNCATED = Fault('truncated', Place.WIRE, 'replies end somewhere before their end', _REQUESTS)
CORRUPT = Fault('corrupt', Place.WIRE, 'one bit of each reply is flipped', _REQUESTS)
FOREIGN = Fault(
    'foreign',
    Place.WIRE,
    'before each reply, in turn: a packet of another id, one of another length, the reply to '
    'the request before',
    _REQUESTS,
)
UNPLUG = Fault(
    'unplug',
    Place.PORT,
    'the port hangs up and its links vanish, the servos keep torque and goals; off: it is back '
    'under its name',
)
REPLUG = Fault(
    'replug', Place.PORT, 'the port is back under another name, by_id points to it', lasts=False
)
SILENT = Fault('silent', Place.SERVO, 'it hears and says nothing, and holds its last goal')
OVERLOAD = Fault(
    'overload',
    Place.SERVO,
    'trips as by load: status 32, torque limited to register 34; until torque off or off',
)
FORGIVING = Fault(
    'forgiving',
    Place.SERVO,
    'its overload also ends when its goal comes to within 8 steps of its position (disputed)',
)
BROWNOUT = Fault(
    'brownout',
    Place.SERVO,
    'its RAM is lost: torque 0, lock 1, goal = position; it answers at once',
    lasts=False,
)
REBOOT = Fault('reboot', Place.SERVO, 'a brownout, and 0.8 s of silence', lasts=False)
VOLTAGE = Fault(
    'voltage',
    Place.SUPPLY,
    'the supply has 16 V, or so many; status 1 outside registers 15 to 14',
    Argument('VOLTS', 16.0, 3.0, 25.0),
)
HOT = Fault(
    'hot',
    Place.SERVO,
    'it has 75 C, or so many; status 4 above register 13; off: it cools, in minutes',
    Argument('CELSIUS', 75.0, 0.0, 125.0),
)
CURRENT = Fault(
    'current',
    Place.SERVO,
    'it draws 4 A, or so many; status 8 above register 28',
    Argument('AMPERES', 4.0, 0.0, 20.0),
)
ENCODER = Fault(
    'encoder',
    Place.SERVO,
    'status 2; its position sticks, or jumps by so many steps, and it is that which it controls',
    Argument('STEPS', 0, -2048, 2048, whole=True),
)
DUPLICATE = Fault(
    'duplicate',
    Place.SERVO,
    'a second servo has its id: where both answer, the wire carries the AND of their bytes',
)
OLD_FIRMWARE = Fault(
    'old_firmware',
    Place.SERVO,
    'registers 0 and 1 say 3.9; its part of a SYNC READ reply is corrupt, a READ is right',
)
DEAF_GOAL = Fault(
    'deaf_goal',
    Place.SERVO,
    'a goal written while it is limp is not taken: it reads back one 49 degrees away',
)
STALE_GOAL = Fault(
    'stale_goal',
    Place.SERVO,
    'its goal reads back right, but when torque comes on it goes for one 49 degrees away, until '
    'the next goal is written',
)
GOAL_TORQUE = Fault(
    'goal_torque',
    Place.SERVO,
    'a goal written while it is limp switches its torque on and moves it (one source)',
)
CLEAR = Fault('clear', Place.EVERYWHERE, 'every fault is off', lasts=False)

FAULTS = {one.name: one for one in list(globals().values()) if isinstance(one, Fault)}


@dataclass(frozen=True)
class Order:
    """One fault to switch on or off, at joints given by their places in JOINTS."""

    fault: Fault
    joints: tuple[int, ...] = ()
    value: float = 0.0
    on: bool = True

    def __str__(self) -> str:
        """Return the text that orders it."""
        words = [self.fault.name]
        if self.joints:
            words.append(ALL if len(self.joints) == len(JOINTS) else JOINTS[self.joints[0]])
        if not self.on:
            words.append('off')
        elif self.fault.argument and math.isfinite(self.value):
            words.append(f'{self.value:g}')
        return ' '.join(words)


def parse(text: str) -> Order:
    """Read one order; raises UserError that says what is known, or what the fault takes."""
    name, *words = text.split() or ['']
    fault = FAULTS.get(name)
    if fault is None:
        raise UserError(
            f'fault {text!r} is not known; known: {", ".join(FAULTS)}; by topic also {CAMERA}'
        )
    joints: tuple[int, ...] = ()
    if fault.place is Place.SERVO:
        joints = _joints(fault, words.pop(0) if words else '')
    value = fault.argument.default if fault.argument else 0.0
    if not words:
        return Order(fault, joints, value)
    if words == ['off'] and fault.lasts:
        return Order(fault, joints, value, on=False)
    if fault.argument and len(words) == 1:
        return Order(fault, joints, _number(fault, fault.argument, words[0]))
    raise UserError(f'fault {text!r}: give {fault.form}{" or off" if fault.lasts else ""}')


def parse_all(text: str) -> list[Order]:
    """Read orders that are separated by commas, none of an empty text; raises UserError."""
    return [parse(part) for part in text.split(',') if part.strip()]


def _joints(fault: Fault, word: str) -> tuple[int, ...]:
    if word == ALL:
        return tuple(range(len(JOINTS)))
    if word not in JOINTS:
        raise UserError(
            f'fault {fault.name}: {word!r} is not a joint; give {", ".join(JOINTS)} or {ALL}'
        )
    return (JOINTS.index(word),)


def _number(fault: Fault, argument: Argument, word: str) -> float:
    try:
        value = int(word) if argument.whole else float(word)
    except ValueError:
        value = math.nan
    if not argument.low <= value <= argument.high:
        raise UserError(
            f'fault {fault.name}: {word!r} is not {argument.unit.lower()}: give '
            f'{"a whole number" if argument.whole else "a number"} '
            f'{argument.low:g} to {argument.high:g}, or off'
        )
    return value
