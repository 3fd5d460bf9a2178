"""Pictures that stand still while the arm moves."""

from collections.abc import Iterator

from so101_training.checks.black import is_black
from so101_training.checks.finding import BAD, Finding
from so101_training.checks.picture import Measures
from so101_training.checks.runs import runs
from so101_training.checks.take import Collection, Pictures, Take

NAME = 'frozen'

# Seconds for which a picture stands, and how far a joint that carries the arm moves meanwhile,
# degrees: half a second is what the recorder calls frozen; at 4 degrees the whole arm is some
# pixels away in any view.
LONG = 0.5
TRAVEL = 4.0


def stretches(measures: Measures) -> list[tuple[int, int]]:
    """Return the first and the last index of each stretch of one and the same picture."""
    return [(a - 1, b - 1) for a, b in runs((measures.still > 0) & ~is_black(measures))]


def frozen(take: Take, pictures: Pictures) -> Iterator[tuple[float, float, float]]:
    """Yield from when to when the pictures froze, seconds, and the arm's travel, degrees."""
    for first, last in stretches(pictures.measures):
        start, end = float(pictures.seconds[first]), float(pictures.seconds[last])
        travel = take.state.travel(start, end) if take.state else 0.0
        if end - start >= LONG and travel >= TRAVEL:
            yield start, end, travel


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            found = list(frozen(take, pictures))
            if not found:
                continue
            start, end, travel = max(found, key=lambda each: each[1] - each[0])
            more = f', and {len(found) - 1} times more' if len(found) > 1 else ''
            yield Finding(
                NAME,
                take.number,
                BAD,
                f'the {camera} picture stands still from {start:.1f} to {end:.1f} s while the arm '
                f'moves by {travel:.0f} degrees{more}; leave it out, and look at the camera',
                camera,
                (start, end),
            )
