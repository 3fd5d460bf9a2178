"""How long the arm takes to do what it is told: the state after the action."""

from collections.abc import Iterator

import numpy as np

from so101_training.checks.finding import BAD, DOUBTFUL, Finding, graver
from so101_training.checks.robust import Usual
from so101_training.checks.shift import Shift, shift
from so101_training.checks.take import ARM, RATE, Collection, Take

NAME = 'lag'

# Seconds. The servos take 0.08 to 0.15, a teleoperated arm up to 0.2. A state that comes before
# its action was shifted, or the two were swapped.
_LEAST, _MOST = -0.02, 0.35

# Seconds from the usual lag, and spreads of it: a picture and a half, and what is bad.
_UNUSUAL, _SPREADS, _BAD = 0.05, 5.0, 0.15

# Correlation of the velocities below which the state does not do what the action says.
_FOLLOWS = 0.5

# Degrees that a joint must travel for its lag to be told, and seconds that are tried.
_TRAVEL, _TRIED = 15.0, 0.7


def lag(take: Take) -> Shift | None:
    """Return by how many seconds (in `samples`) the state follows the action; None: no motion."""
    if take.state is None or take.action is None or take.action.travel(0, np.inf, ARM) < _TRAVEL:
        return None
    start = max(take.state.seconds[0], take.action.seconds[0])
    end = min(take.state.seconds[-1], take.action.seconds[-1])
    grid = np.arange(start, end, 1.0 / RATE)
    if len(grid) < 4:
        return None
    told, done = (
        np.gradient(signal.at(grid)[:, ARM], axis=0) for signal in (take.action, take.state)
    )
    found = shift(told, done, min(round(_TRIED * RATE), len(grid) // 3))
    return Shift(found.samples / RATE, found.likeness) if found else Shift(0.0, 0.0)


def find(collection: Collection) -> Iterator[Finding]:
    found = {take.number: each for take in collection.takes if (each := lag(take))}
    usual = Usual.of(each.samples for each in found.values() if each.likeness >= _FOLLOWS)
    for number, each in found.items():
        if each.likeness < _FOLLOWS:
            text = f'the arm does not do what the action says: correlation {each.likeness:.2f}'
            yield Finding(NAME, number, BAD, f'{text}; leave it out')
            continue
        late = each.samples
        away = 0.0 if usual is None else abs(late - usual.median)
        unusual = usual is not None and away > max(_UNUSUAL, _SPREADS * usual.spread)
        if not unusual and _LEAST <= late <= _MOST:
            continue
        beyond = max(_LEAST - late, late - _MOST, 0.0)
        than = f', usually {1e3 * usual.median:.0f}' if usual else ''
        what = (
            f'the state comes {1e3 * late:.0f} ms after its action{than}'
            if late >= 0
            else f'the state comes {-1e3 * late:.0f} ms before its action{than}'
        )
        yield Finding(
            NAME,
            number,
            graver(max(away, 2 * beyond), _BAD),
            f'{what}; leave it out, and look at the stamps of both',
        )
    copies = [t for t in collection.takes if _are_one(t)]
    if copies:
        yield Finding(
            NAME,
            None,
            DOUBTFUL,
            f'action and state are the same in {len(copies)} of {len(collection.takes)} episodes: '
            'a policy would learn to stay where it is; record what the arm was told',
        )


def _are_one(take: Take) -> bool:
    if take.state is None or take.action is None or take.fps is None:
        return False
    same = take.state.values.shape == take.action.values.shape
    return same and bool(np.array_equal(take.state.values, take.action.values))
