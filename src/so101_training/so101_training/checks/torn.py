"""Pictures of which a part is broken: rows lost, shifted, or of another moment."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_training.checks.black import is_black
from so101_training.checks.finding import Finding, graver
from so101_training.checks.picture import Measures
from so101_training.checks.take import Collection

NAME = 'torn'

# The share of the rows that is unlike the pictures before and after. Less is a glint, or a pattern
# that moves by its own period; two pictures torn into each other differ by less, too.
_LEAST = 0.125

# Torn pictures in an episode. One does a policy no harm that learns from 64 at a time.
_MANY = 3


def is_torn(measures: Measures) -> NDArray[np.bool_]:
    black = is_black(measures)
    beside = np.zeros_like(black)
    beside[1:] |= black[:-1]
    beside[:-1] |= black[1:]
    return (measures.odd >= _LEAST) & ~black & ~beside


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            torn = np.flatnonzero(is_torn(pictures.measures))
            if not len(torn):
                continue
            first, last = pictures.seconds[torn[0]], pictures.seconds[torn[-1]]
            rows = 100 * pictures.measures.odd[torn].max()
            yield Finding(
                NAME,
                take.number,
                graver(len(torn), _MANY),
                f'{len(torn)} pictures of the {camera} camera are torn, between {first:.1f} and '
                f'{last:.1f} s: up to {rows:.0f} % of their rows fit neither the picture before '
                'nor the one after; look at its cable and its USB port',
                camera,
                (float(first), float(last)),
                float(pictures.seconds[torn[np.argmax(pictures.measures.odd[torn])]]),
            )
