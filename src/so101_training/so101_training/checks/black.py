"""Pictures that are black."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_cameras.picture_health import DARK, FLAT
from so101_training.checks.finding import Finding, graver
from so101_training.checks.picture import Measures
from so101_training.checks.runs import joined, runs
from so101_training.checks.take import RATE, Collection

NAME = 'black'

# Seconds. A policy that sees nothing for so long has moved on; a single black picture is a
# hiccup of the camera that a person may accept.
_LONG = 0.5


def is_black(measures: Measures) -> NDArray[np.bool_]:
    """Return which pictures are dark all over, as the recorder judges them."""
    return (measures.brightness <= DARK) & (measures.contrast <= FLAT)


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            black = is_black(pictures.measures)
            if not black.any():
                continue
            period = 1.0 / (take.fps or RATE)
            stretches = [
                (pictures.seconds[a], pictures.seconds[b - 1] + period)
                for a, b in runs(joined(black, 2))
            ]
            start, end = max(stretches, key=lambda s: s[1] - s[0])
            if black.all():
                text = f'every picture of the {camera} camera is black'
            else:
                text = (
                    f'{black.sum()} of {len(black)} pictures of the {camera} camera are black, '
                    f'from {start:.1f} to {end:.1f} s'
                )
            yield Finding(
                NAME,
                take.number,
                graver(end - start, _LONG),
                f'{text}; leave it out, and look at the camera and its cable',
                camera,
                (float(start), float(end)),
            )
