"""Pictures that stand still while the arm moves."""

from collections.abc import Iterator

import numpy as np

from so101_training.checks.black import is_black
from so101_training.checks.finding import BAD, Finding, and_more
from so101_training.checks.picture import Measures
from so101_training.checks.runs import runs
from so101_training.checks.take import Collection, Pictures, Take

NAME = 'frozen'

# Seconds for which a picture stands, and how far a joint that carries the arm moves meanwhile,
# degrees: half a second is what the recorder calls frozen; at 4 degrees the whole arm is some
# pixels away in any view. A camera that froze for good, or that shows little, tells by the second.
LONG = 0.5
TRAVEL = 4.0
FAR = 15.0

# By how much, of 0 to 255, the next new picture differs at the least where it differs most: three
# times as much as makes it a new one. A scene that changes slowly is a new one long before.
JUMP = 9.0

# How many times as much as the pictures after it a picture changes that made up for lost ones.
_LEAP = 1.15

# Degrees of the arm's travel that any camera sees.
_SEEN = 12.0

# How much brighter, and how many times as sharp, a picture may be that shows the same scene.
_BRIGHTER, _SHARPER = 10.0, 1.5

# The share of a picture that is burnt out from which on motion may go unseen.
_BURNT = 0.5


def stretches(measures: Measures) -> list[tuple[int, int]]:
    """Return the first and the last index of each stretch of one and the same picture."""
    seen = ~is_black(measures) & (measures.clipped < _BURNT)
    return [(a - 1, b - 1) for a, b in runs((measures.still > 0) & seen)]


def jumps(measures: Measures, first: int, last: int, travel: float) -> bool:
    """Return whether the scene has moved on in the picture after one that stands.

    Not when the light or the focus changed: that makes a new picture, too. Nor when the scene
    gets moving: then what follows changes more, and what was before did not. `travel`: of the arm
    meanwhile, degrees; a long way is never so slow that it is not seen.
    """
    after, change = last + 1, measures.change
    if after >= len(measures) or change[after] < JUMP:
        return False
    brighter = abs(measures.brightness[after] - measures.brightness[last])
    sharper = np.abs(np.log(measures.sharpness[after] / measures.sharpness[last]))
    follows = change[after + 1 : after + 3].max(initial=0.0)
    starts = travel < _SEEN and change[first] < JUMP and change[after] < _LEAP * follows
    refocused = sharper > np.log(_SHARPER)  # no, where nobody knows
    return bool(brighter <= _BRIGHTER and not refocused and not starts)


def frozen(take: Take, pictures: Pictures) -> Iterator[tuple[float, float, float]]:
    """Yield from when to when the pictures froze, seconds, and the arm's travel, degrees."""
    for first, last in stretches(pictures.measures):
        start, end = float(pictures.seconds[first]), float(pictures.seconds[last])
        travel = take.state.travel(start, end) if take.state else 0.0
        far = TRAVEL if jumps(pictures.measures, first, last, travel) else FAR
        if end - start >= LONG and travel >= far:
            yield start, end, travel


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            found = list(frozen(take, pictures))
            if not found:
                continue
            start, end, travel = max(found, key=lambda each: each[1] - each[0])
            yield Finding(
                NAME,
                take.number,
                BAD,
                f'the {camera} picture stands still from {start:.1f} to {end:.1f} s while the arm '
                f'moves by {travel:.0f} degrees{and_more(len(found))}; leave it out, and look at '
                'the camera',
                camera,
                (start, end),
            )
