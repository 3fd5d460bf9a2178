"""Pictures that are the one before once more, told from a scene that stands still; pure."""

import numpy as np
from numpy.typing import NDArray

from so101_training.checks.black import is_black
from so101_training.checks.picture import Measures
from so101_training.checks.take import CARRYING, RATE, Pictures, Take
from so101_training.checks.torn import is_torn

# Changes between two pictures, of 0 to 255 in the blocks that change most. Two encodings of one
# picture differ by less than the first; where the picture of a moment ago changed by the second,
# something moves, and a new picture would show it.
_NONE, _MUCH = 3.0, 9.0

# A repeated picture changes by less than this part of what its neighbours do.
_PART = 0.3

# Pictures to each side in which motion is looked for.
_AROUND = 3

# Brightness, of 0 to 255, by which all of a picture changes when the light does, or the exposure.
_LIGHT = 8.0

# Degrees a second of a joint that carries the arm, over a few pictures. Below that, an encoder
# may call a picture the same that is not: it saves bits where a pixel hardly moves.
_SPEED = 15.0


def repeated(take: Take, pictures: Pictures) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pictures are repeated, and of which that can be told: (n,) each."""
    change = pictures.measures.change
    level = around(np.where(_of_its_own(pictures.measures), 0.0, change))
    told = (level >= _MUCH) & (_speed(take, pictures) >= _SPEED)
    told[:1] = False
    return told & (change <= np.minimum(_NONE, _PART * level)), told


def _of_its_own(measures: Measures) -> NDArray[np.bool_]:
    """Return which pictures changed for another reason than motion: light, or a broken one."""
    light = np.abs(np.diff(measures.brightness, prepend=measures.brightness[:1])) > _LIGHT
    torn = is_torn(measures)
    broken = torn | is_black(measures)
    return light | broken | np.concatenate(([False], broken[:-1]))[: len(broken)]


def _speed(take: Take, pictures: Pictures) -> NDArray[np.float64]:
    """Return how fast the arm moves about each picture, degrees a second."""
    if take.state is None:
        return np.zeros(len(pictures.seconds))
    half = _AROUND / RATE
    before, after = (take.state.at(pictures.seconds + s)[:, CARRYING] for s in (-half, half))
    return np.abs(after - before).max(axis=1) / (2 * half)


def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest of each value and its neighbours."""
    if not len(values):
        return values
    padded = np.pad(values, _AROUND, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1).max(axis=1)
