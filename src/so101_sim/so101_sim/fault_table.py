"""What the driver should do about each fault; pure.

Everything here is demanded, nothing is measured: fault_trial.py does what a row says, and tells
where the driver does otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from so101_description.joints import JOINTS
from so101_sim.fault import FAULTS

# The driver's services, as people call them to get out of a fault.
CLEAR_FAULT = 'arm/clear_fault'
TORQUE_OFF = 'arm/torque off'
TORQUE_ON = 'arm/torque on'

# What a person does when torque was lost, or is the servo's only way out of its own fault.
_ANEW = (TORQUE_OFF, CLEAR_FAULT, TORQUE_ON)

# Degrees. The target for every joint that has torque.
MOTION = 1.0

# Cycles, the one that was under way included, until the driver has noticed: what is in every
# reply; a silence of 50 ms; what is read back in every tenth cycle. One cycle more is for the
# thread that injects the fault, which may come late.
_AT_ONCE = 3
_PAUSE = 12
_READ_BACK = 13

# A servo whose torque goes, of a joint that does not throw the others about when it falls.
_FALLING = 'wrist_flex'


class Situation(StrEnum):
    REST = 'at rest'
    MOTION = 'in motion'
    TORQUE_ON = 'at torque-on'
    PRESSING = 'pressing on the table'
    GRIPPING = 'closing on the cube'


class Outcome(StrEnum):
    """What becomes of the arm."""

    GOES_ON = 'goes on'
    LATCHED = 'latched until cleared'
    REFUSED = 'torque stays off'
    LIMP = 'limp until a driver starts'


class Cause(StrEnum):
    """What is not a fault of the emulated bus, but done to it."""

    KILL = 'kill -9 of the driver'
    LOAD = 'overload by load'
    FORGIVEN = 'forgiving all, overload by load'
    GRIP = 'grip'


@dataclass(frozen=True)
class Row:
    """One fault in one situation.

    `orders` are those of fault.py, or what is done instead. The driver has noticed `within` so
    many of its cycles; None where there is nothing to notice, or no driver left. `limp` are the
    joints without torque a second later. `message` is a part of what the user reads. `cure` are
    the orders that end the cause, `way_out` what the user calls then; it ends with the arm held.
    A `steady` arm does not even pause.
    """

    orders: str
    situation: Situation
    within: int | None
    outcome: Outcome = Outcome.LATCHED
    limp: tuple[str, ...] = ()
    message: str = ''
    cure: str = ''
    way_out: tuple[str, ...] = (CLEAR_FAULT,)
    steady: bool = False

    def __str__(self) -> str:
        return f'{self.orders}, {self.situation}'

    @property
    def torque(self) -> str:
        """Who has torque a second later."""
        if not self.limp:
            return 'on'
        return 'off' if self.limp == JOINTS else f'{", ".join(self.limp)} off'

    @property
    def steps(self) -> str:
        """What is done afterwards."""
        if not self.way_out:
            return 'nothing to do'
        end = 'a new driver, ' if self.outcome is Outcome.LIMP else ''
        return f'{end}{", ".join(self.way_out)}'


def _wire(name: str, some: int, within: int | None, message: str) -> list[Row]:
    """Return the rows of a wire that spoils `some` replies, and of one that spoils all of them."""
    passing = Row(
        f'{name} {some}', Situation.REST, _AT_ONCE, Outcome.GOES_ON, cure=f'{name} off', way_out=()
    )
    if within is None:
        return [replace(passing, steady=True), replace(passing, orders=name)]
    lasting = Row(name, Situation.REST, within, message=message, cure=f'{name} off')
    return [replace(passing, steady=True), lasting]


def _fault(orders: str, within: int, message: str, cure: str = '', **more: object) -> Row:
    row = Row(orders, Situation.REST, within, message=message, cure=cure)
    return replace(row, **more)  # type: ignore[arg-type]


_ANYWHERE = [
    # The wire. What it spoils now and then costs nothing; what it never brings, holds the arm.
    *_wire('late', 1, _PAUSE, 'no answer from any servo'),
    *_wire('lost', 1, _PAUSE, 'no answer from any servo'),
    *_wire('truncated', 1, _PAUSE, 'no answer from'),
    *_wire('corrupt', 1, None, ''),
    *_wire('foreign', 3, None, ''),
    # The port: torque stays, and the servos hold their goals.
    _fault('unplug', _AT_ONCE, 'check its USB cable', 'unplug off'),
    _fault('unplug, replug', _AT_ONCE, 'check its USB cable'),
    # One servo.
    _fault('silent elbow_flex', _PAUSE, 'no answer from elbow_flex', 'silent elbow_flex off'),
    _fault('silent all', _PAUSE, 'no answer from any servo', 'silent all off'),
    _fault('overload elbow_flex', _AT_ONCE, 'elbow_flex reports overload', way_out=_ANEW),
    _fault(
        f'brownout {_FALLING}',
        _READ_BACK,
        f'{_FALLING} lost its torque',
        limp=(_FALLING,),
        way_out=_ANEW,
    ),
    _fault('brownout all', _READ_BACK, 'every servo lost its torque', limp=JOINTS, way_out=_ANEW),
    _fault(
        f'reboot {_FALLING}',
        _PAUSE,
        f'no answer from {_FALLING}',
        limp=(_FALLING,),
        way_out=_ANEW,
    ),
    _fault('voltage', _AT_ONCE, 'every servo reports voltage', 'voltage off'),
    _fault('hot elbow_flex', _AT_ONCE, 'elbow_flex reports temperature', 'hot elbow_flex 30'),
    _fault('current elbow_flex', _AT_ONCE, 'elbow_flex reports current', 'current elbow_flex off'),
    _fault(
        f'encoder {_FALLING}',
        _AT_ONCE,
        f'{_FALLING} reports encoder',
        f'encoder {_FALLING} off',
        limp=(_FALLING,),
        way_out=_ANEW,
    ),
    _fault(
        f'encoder {_FALLING} 300',
        _AT_ONCE,
        f'{_FALLING} reports encoder',
        f'encoder {_FALLING} off',
        limp=(_FALLING,),
        way_out=_ANEW,
    ),
    _fault(
        'duplicate elbow_flex', _PAUSE, 'no answer from elbow_flex', 'duplicate elbow_flex off'
    ),
    _fault(
        'old_firmware elbow_flex',
        _AT_ONCE,
        '',
        'old_firmware elbow_flex off',
        outcome=Outcome.GOES_ON,
        way_out=(),
    ),
    Row(
        Cause.KILL,
        Situation.REST,
        None,
        Outcome.LIMP,
        JOINTS,
        'the driver was killed; torque is off on every servo',
        way_out=(TORQUE_ON,),
    ),
]

_SPECIAL = [
    Row(
        'deaf_goal elbow_flex',
        Situation.TORQUE_ON,
        None,
        Outcome.REFUSED,
        JOINTS,
        'elbow_flex (id 3) did not take its goal',
        'deaf_goal elbow_flex off',
        (TORQUE_ON,),
    ),
    # Torque comes on with the present position as goal, and the goal is written again at once:
    # neither of these servos gets anywhere.
    Row(
        'stale_goal elbow_flex',
        Situation.TORQUE_ON,
        None,
        Outcome.GOES_ON,
        cure='stale_goal elbow_flex off',
        way_out=(),
    ),
    Row(
        'goal_torque elbow_flex',
        Situation.TORQUE_ON,
        None,
        Outcome.GOES_ON,
        cure='goal_torque elbow_flex off',
        way_out=(),
    ),
    Row(
        Cause.LOAD,
        Situation.PRESSING,
        _AT_ONCE,
        message='reports overload',
        way_out=_ANEW,
    ),
    # Its goal where it is ends the overload: nothing but the fault is to be cleared.
    Row(Cause.FORGIVEN, Situation.PRESSING, _AT_ONCE, message='reports overload'),
    Row(Cause.GRIP, Situation.GRIPPING, None, Outcome.GOES_ON, way_out=()),
]


def _rows() -> Iterator[Row]:
    for row in _ANYWHERE:
        yield row
        yield replace(row, situation=Situation.MOTION)
    yield from _SPECIAL


ROWS = tuple(_rows())

# What stands in no row of its own: it ends the others.
_NO_FAULTS = {'clear'}


def missing() -> set[str]:
    """Return the faults that the emulated bus can have and no row has."""
    tried = {order.split()[0] for row in ROWS for order in row.orders.split(', ')}
    return set(FAULTS) - _NO_FAULTS - tried
