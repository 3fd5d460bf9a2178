"""A joint that does not get where it is told: blocked, too weak, or told what it cannot do."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS, URDF_LIMITS
from so101_description.units import radians_to_dataset
from so101_training.checks.finding import DOUBTFUL, Finding, graver
from so101_training.checks.lag import lag
from so101_training.checks.robust import Usual
from so101_training.checks.runs import joined, runs
from so101_training.checks.take import ARM, RATE, Collection, Take

NAME = 'following'

# Degrees between action and state, the lag taken out, and for how many seconds. The arm sags by 2
# to 3 degrees under its own weight; the policy brakes at 35 degrees for 0.5 s.
_FAR, _VERY_FAR, _LONG = 8.0, 20.0, 0.6

# Degrees from a limit, or beyond, at which an action is at it; seconds that it stays there, and
# how many times as long as usual, and spreads of
# it beyond.
_AT, _STAYS, _TIMES, _SPREADS = 1.0, 0.5, 3.0, 5.0

# Degrees a second from which on the arm moves.
_MOVES = 6.0

_LOW, _HIGH = radians_to_dataset(np.array([URDF_LIMITS[joint] for joint in JOINTS]).T)


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        yield from _far(take)
    yield from _saturated(collection)


def _far(take: Take) -> Iterator[Finding]:
    late = lag(take)
    if take.state is None or take.action is None or late is None:
        return
    delay = float(np.clip(late.samples, 0.0, 0.4))
    grid = np.arange(take.state.seconds[0] + delay, take.state.seconds[-1], 1.0 / RATE)
    apart = take.action.at(grid - delay) - take.state.at(grid)
    worst = None
    for joint in ARM:
        for a, b in runs(joined(np.abs(apart[:, joint]) > _FAR, 2)):
            if (b - a) / RATE >= _LONG:
                size = float(np.median(np.abs(apart[a:b, joint])))
                if worst is None or size > worst[0]:
                    worst = size, joint, float(grid[a]), float(grid[b - 1])
    if worst:
        size, joint, start, end = worst
        yield Finding(
            NAME,
            take.number,
            graver(size, _VERY_FAR),
            f'{JOINTS[joint]} stays {size:.0f} degrees from where it is told to be, from '
            f'{start:.1f} to {end:.1f} s; look whether it is blocked or overloaded',
            seconds=(start, end),
        )


def _saturated(collection: Collection) -> Iterator[Finding]:
    """Find actions that stay at a limit for longer than in the other episodes."""
    spent = {take.number: _at_limits(take) for take in collection.takes if take.action}
    for joint in ARM:
        for side, name in ((0, 'lower'), (1, 'upper')):
            usual = Usual.of(float(each[joint, side]) for each in spent.values())
            if usual is None:
                continue  # some tasks have it at rest there; nobody says what is usual
            most = max(_STAYS, _TIMES * usual.median, usual.median + _SPREADS * usual.spread)
            for number, each in spent.items():
                if (stays := float(each[joint, side])) > most:
                    yield Finding(
                        NAME,
                        number,
                        DOUBTFUL,
                        f'the action of {JOINTS[joint]} is at its {name} limit for {stays:.1f} '
                        f's, usually {usual.median:.1f}; look whether it was to go further',
                    )


def _at_limits(take: Take) -> NDArray[np.float64]:
    """Return the seconds that each joint's action stands at its lower and upper limit: (6, 2)."""
    assert take.action is not None
    grid = np.arange(take.action.seconds[0], take.action.seconds[-1], 1.0 / RATE)
    values = take.action.at(grid)
    # An arm that rests folded, at a limit, is not kept from going further.
    moves = np.abs(np.gradient(values, axis=0)).max(axis=1, keepdims=True) > _MOVES / RATE
    ends = (values <= _LOW + _AT) & moves, (values >= _HIGH - _AT) & moves
    return np.stack([end.sum(axis=0) for end in ends], axis=1) / np.float64(RATE)
