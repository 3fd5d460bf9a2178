"""Pictures that are black."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_cameras.picture_health import DARK, FLAT
from so101_training.checks.finding import DOUBTFUL, Finding, graver
from so101_training.checks.picture import Measures
from so101_training.checks.runs import joined, runs
from so101_training.checks.take import RATE, Collection

NAME = 'black'

# Seconds. A policy that sees nothing for so long has moved on; a single black picture is a
# hiccup of the camera that a person may accept.
_LONG = 0.5

# Episodes at the end that are all black: then a camera failed, and nobody saw it.
_FAILED = 2


def is_black(measures: Measures) -> NDArray[np.bool_]:
    """Return which pictures are dark all over, as the recorder judges them."""
    return (measures.brightness <= DARK) & (measures.contrast <= FLAT)


def find(collection: Collection) -> Iterator[Finding]:
    yield from _of_episodes(collection)
    for camera in collection.cameras:
        dark = [
            bool(len(pictures.measures)) and bool(is_black(pictures.measures).all())
            for take in collection.takes
            if (pictures := take.pictures.get(camera))
        ]
        since = len(dark) - dark[::-1].index(False) if False in dark else 0
        if 0 < since <= len(dark) - _FAILED and len(dark) == len(collection.takes):
            yield Finding(
                NAME,
                None,
                DOUBTFUL,
                f'the {camera} camera is black from episode {collection.takes[since].number} on, '
                'to the last: it failed then; look at it before recording more',
                camera,
            )


def _of_episodes(collection: Collection) -> Iterator[Finding]:
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
