"""Long stretches in which nothing moves, and episodes in which nothing does."""

from collections.abc import Iterator

import numpy as np

from so101_description.joints import JOINTS
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.robust import Usual
from so101_training.checks.runs import runs
from so101_training.checks.take import RATE, Collection, Take
from so101_training.checks.units import in_other_units

NAME = 'pauses'

# Dataset units that no joint leaves while nothing moves: encoder noise is 0.1, a hand that holds
# still moves more in a second.
_STILL = 1.0

# Seconds. A person thinks for one or two; a policy that learns three of standing still may not
# get going again.
_LONG = 2.5

# Seconds beyond the usual of the same place: some people always begin late.
_MORE = 1.5

# Degrees that some joint travels in an episode worth its name.
_TRAVEL = 5.0

_PLACES = ('at its start', 'within', 'at its end')


def find(collection: Collection) -> Iterator[Finding]:
    found = {}
    for take in collection.takes:
        if take.state is None:
            continue
        travel = take.state.travel(0.0, np.inf, range(len(JOINTS)))
        if travel < _TRAVEL and not in_other_units(take.state):
            text = f'the arm does not move: by {travel:.1f} degrees at most; leave it out'
            yield Finding(NAME, take.number, BAD, text)
        else:
            found[take.number] = pauses(take)
    for place, where in enumerate(_PLACES):
        usual = Usual.of(each[place][1] - each[place][0] for each in found.values())
        most = _LONG if usual is None else max(_LONG, usual.median + _MORE)
        for number, each in found.items():
            start, end = each[place]
            if end - start > most:
                than = f', usually {usual.median:.1f}' if usual else ''
                yield Finding(
                    NAME,
                    number,
                    DOUBTFUL,
                    f'nothing moves for {end - start:.1f} s {where}, from {start:.1f} s on{than}; '
                    'leave it out when it was not meant',
                    seconds=(start, end),
                )


def pauses(take: Take) -> tuple[tuple[float, float], ...]:
    """Return the pause at the start, the longest within, and the one at the end, seconds."""
    assert take.state is not None
    grid = np.arange(take.state.seconds[0], take.state.seconds[-1], 1.0 / RATE)
    values = take.state.at(grid)
    still = [(grid[a], grid[b - 1]) for a, b in _stretches(values)]
    none = (0.0, 0.0)
    if not still:
        return none, none, none
    first = still.pop(0) if still[0][0] <= grid[0] else none
    last = still.pop() if still and still[-1][1] >= grid[-1] else none
    return first, max(still, key=lambda s: s[1] - s[0], default=none), last


def _stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """Return where no joint leaves a band of _STILL for half a second at least."""
    half = round(0.25 * RATE)
    if len(values) <= 2 * half:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1, axis=0)
    quiet = (np.ptp(windows, axis=2) <= _STILL).all(axis=1)
    return [(a, b + 2 * half) for a, b in runs(quiet)]
