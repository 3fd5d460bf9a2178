"""Episodes much longer or shorter than the others, in time or in the way of the arm."""

from collections.abc import Callable, Iterator

import numpy as np

from so101_training.checks.finding import Finding, graver
from so101_training.checks.robust import Usual
from so101_training.checks.take import ARM, RATE, Collection, Take

NAME = 'outliers'

# Robust standard deviations (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993), of
# the logarithm: half as long is as unusual as twice as long.
_SCORE = 3.5

# The least standard deviation of the logarithm: with 0.14, what is within a factor of 1.6 of the
# median is never an outlier, however alike the others are.
_SPREAD = 0.14

# A factor of the median from which an episode is no use.
_FACTOR = 3.0


def path(take: Take) -> float:
    """Return the length of the arm's way in joint space, degrees; NaN without a state."""
    if take.state is None:
        return float('nan')
    # At 10 Hz: encoder steps at 200 Hz would add up to a way of their own.
    grid = np.arange(take.state.seconds[0], take.state.seconds[-1], 3.0 / RATE)
    return float(np.linalg.norm(np.diff(take.state.at(grid)[:, ARM], axis=0), axis=1).sum())


def find(collection: Collection) -> Iterator[Finding]:
    yield from _of(collection, lambda take: take.duration, 'it lasts {:.1f} s, usually {:.1f}')
    yield from _of(collection, path, 'the way of the arm is {:.0f} degrees, usually {:.0f}')


def _of(collection: Collection, figure: Callable[[Take], float], text: str) -> Iterator[Finding]:
    values = {take.number: figure(take) for take in collection.takes}
    known = {number: value for number, value in values.items() if value > 0}
    usual = Usual.of(float(np.log(value)) for value in known.values())
    if usual is None:
        return
    for number, value in known.items():
        if abs(usual.score(float(np.log(value)), _SPREAD)) < _SCORE:
            continue
        median = float(np.exp(usual.median))
        yield Finding(
            NAME,
            number,
            graver(max(value / median, median / value), _FACTOR),
            f'{text.format(value, median)}; look whether it did the task',
        )
