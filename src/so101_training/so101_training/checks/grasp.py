"""Grasps that closed on nothing, lost what they held, or never were; told from the others.

A gripper that holds something stands open by the width of it, and further open than it is told; a
gripper that holds nothing goes where it is told. How wide that is the other episodes say.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from so101_description.joints import GRIPPER
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.robust import ENOUGH
from so101_training.checks.runs import runs
from so101_training.checks.take import RATE, Collection, Floats, Take

NAME = 'grasp'

# Where between closed and open, as parts of the range of the actions, the gripper counts as the
# one or the other: in between it is on its way.
_CLOSED, _OPEN = 0.45, 0.6

# Percent of the gripper's range. What is held is at least so wide, seen from an empty gripper.
_WIDTH = 4.0

# Seconds for which a closed gripper carries.
_CARRIES = 0.4

# The part of the others' width that is left when nothing is held, and when it is doubtful.
_NOTHING, _LITTLE = 0.5, 0.7

# The part of the episodes that must open the gripper at their end for that to be usual.
_USUALLY = 0.8


@dataclass(frozen=True)
class Grip:
    """The longest time in which the gripper was closed: `start`, `end`, seconds.

    `stands`: where it stood toward the end of that, percent; `squeezes`: how much further closed
    it was told to be, percent. `opened`: whether it was opened after it.
    """

    start: float
    end: float
    stands: float
    squeezes: float
    opened: bool


def grip(take: Take, low: float, high: float) -> Grip | None:
    """Return how a take gripped, None for not at all; `low`, `high`: closed and open actions."""
    if take.state is None or take.action is None:
        return None
    grid = np.arange(take.state.seconds[0], take.state.seconds[-1], 1.0 / RATE)
    told, stood = take.action.at(grid)[:, GRIPPER], take.state.at(grid)[:, GRIPPER]
    is_open = told > low + _OPEN * (high - low)
    if not is_open.any():
        return None
    first = int(np.argmax(is_open))
    closed = told < low + _CLOSED * (high - low)
    closed[:first] = False  # as it came, before it first opened
    stretches = [(a, b) for a, b in runs(closed) if b - a >= _CARRIES * RATE]
    # What lies after the last opening is the way home, with an empty gripper.
    last = int(np.flatnonzero(is_open)[-1])
    carrying = [(a, b) for a, b in stretches if a < last]
    if not carrying and not stretches:
        return None
    a, b = max(carrying or stretches, key=lambda each: each[1] - each[0])
    later = slice(a + (b - a) // 2, max(b - (b - a) // 10, a + (b - a) // 2 + 1))
    return Grip(
        float(grid[a]),
        float(grid[b - 1]),
        float(np.median(stood[later])),
        float(np.median(stood[later] - told[later])),
        bool(carrying),
    )


def grips(collection: Collection) -> dict[int, Grip | None]:
    """Return how each take gripped, {} when the gripper is no part of the task."""
    takes = [take for take in collection.takes if take.state and take.action]
    if len(takes) < ENOUGH:
        return {}
    ends = np.array([np.percentile(_told(take), (2, 98)) for take in takes])
    low, high = np.median(ends[:, 0]), np.median(ends[:, 1])
    if high - low < _WIDTH:
        return {}
    found = {take.number: grip(take, low, high) for take in takes}
    return found if sum(each is not None for each in found.values()) >= len(takes) / 2 else {}


def find(collection: Collection) -> Iterator[Finding]:
    found = grips(collection)
    known = [each for each in found.values() if each is not None]
    if not known:
        return
    stands = float(np.median([each.stands for each in known]))
    squeezes = float(np.median([each.squeezes for each in known]))
    opened = np.mean([each.opened for each in known]) > _USUALLY
    empty = _empty(collection, stands)
    for number, each in found.items():
        if each is None:
            text = 'the gripper never closes on anything, as it does in the others'
            yield Finding(NAME, number, DOUBTFUL, f'{text}; look whether it did the task')
            continue
        if stands - empty >= _WIDTH:
            yield from _judged(number, each, stands, squeezes, empty)
        if opened and not each.opened:
            yield Finding(
                NAME,
                number,
                DOUBTFUL,
                f'the gripper does not open again after {each.start:.1f} s, as it does in the '
                'others; look whether it did the task',
                seconds=(each.start, each.end),
            )


def _judged(
    number: int, each: Grip, stands: float, squeezes: float, empty: float
) -> Iterator[Finding]:
    width = (each.stands - empty) / (stands - empty)
    # A person who squeezes less holds as well; but then the gripper stands as far open.
    pressed = each.squeezes / squeezes if squeezes >= _WIDTH else 0.0
    if width >= _LITTLE or (width >= _NOTHING and pressed >= _LITTLE):
        return
    yield Finding(
        NAME,
        number,
        BAD if width < _NOTHING and pressed < _LITTLE else DOUBTFUL,
        f'the gripper closes on nothing, or loses it: it stands at {each.stands:.0f} from '
        f'{each.start:.1f} to {each.end:.1f} s, where in the others something keeps it at '
        f'{stands:.0f}; leave it out',
        seconds=(each.start, each.end),
    )


def _empty(collection: Collection, stands: float) -> float:
    """Return where a gripper stands that is closed on nothing: as closed as it ever was."""
    least = [float(take.state.values[:, GRIPPER].min()) for take in collection.takes if take.state]
    return min(float(np.percentile(least, 5)), stands)


def _told(take: Take) -> Floats:
    assert take.action is not None
    return take.action.values[:, GRIPPER]
