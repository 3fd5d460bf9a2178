"""Pictures without sharp edges: out of focus, or something on the lens."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_training.checks.finding import Finding, graver
from so101_training.checks.picture import Measures
from so101_training.checks.runs import joined, runs
from so101_training.checks.take import RATE, Collection

NAME = 'blurred'

# A picture this much less sharp than the camera's usual ones. An edge blurred by a Gaussian of
# sigma pixels has erf(0.5 / (sqrt(2) sigma)) of its height within one: from 0.7 to 1.3, which is
# hardly seen, that drops to 0.57 of what it was.
_PART = 0.57

# As sharp as an edge blurred by a sigma of 2.4 pixels at half size, 5 of the whole: out of focus,
# even when the camera is so always.
_LEAST = 0.165

# Seconds. Shorter ones are fast motion; after the longer an episode is not worth its place.
_SHORT, _LONG = 0.5, 2.0


def is_blurred(measures: Measures, usual: float) -> NDArray[np.bool_]:
    return measures.sharpness < max(_PART * usual, _LEAST)  # of what is not NaN


def find(collection: Collection) -> Iterator[Finding]:
    for camera in collection.cameras:
        usual = usual_sharpness(collection, camera)
        for take in collection.takes:
            pictures = take.pictures.get(camera)
            if pictures is None or not len(pictures.seconds):
                continue
            period = 1.0 / (take.fps or RATE)
            blurred = joined(is_blurred(pictures.measures, usual), 2)
            stretches = [
                (float(pictures.seconds[a]), float(pictures.seconds[b - 1] + period))
                for a, b in runs(blurred)
            ]
            long = [s for s in stretches if s[1] - s[0] >= _SHORT]
            if not long:
                continue
            start, end = max(long, key=lambda s: s[1] - s[0])
            sharp = float(np.nanmedian(pictures.measures.sharpness[blurred]))
            yield Finding(
                NAME,
                take.number,
                graver(sum(b - a for a, b in long), _LONG),
                f'the {camera} camera is out of focus from {start:.1f} to {end:.1f} s: sharpness '
                f'{sharp:.2f}, usually {usual:.2f}; look at its focus and its lens',
                camera,
                (start, end),
            )


def usual_sharpness(collection: Collection, camera: str) -> float:
    """Return the median over the episodes of how sharp their sharper half is."""
    found = [
        float(np.nanpercentile(pictures.measures.sharpness, 75))
        for take in collection.takes
        if (pictures := take.pictures.get(camera))
        and not np.isnan(pictures.measures.sharpness).all()
    ]
    return float(np.median(found)) if found else 0.0
