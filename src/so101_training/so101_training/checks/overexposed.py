"""Pictures so bright that much of them shows nothing."""

from collections.abc import Iterator

import numpy as np

from so101_cameras.picture_health import WHITE
from so101_training.checks.finding import Finding, graver
from so101_training.checks.runs import joined, runs
from so101_training.checks.take import RATE, Collection

NAME = 'overexposed'

# Shares of a picture without content. A window or a lamp in view takes up to a fifth of it; from
# a half on, what the policy needs is likely gone, too.
_SOME, _MUCH = 0.25, 0.5

# How much more that must be than in the camera's usual pictures: a white table is always white.
_MORE = 0.15

# Seconds: three pictures. A camera's automatic exposure may miss for one or two.
_SHORT = 0.1


def find(collection: Collection) -> Iterator[Finding]:
    for camera in collection.cameras:
        seen = [
            take
            for take in collection.takes
            if (pictures := take.pictures.get(camera)) and len(pictures.seconds)
        ]
        usual = float(
            np.median([np.median(t.pictures[camera].measures.clipped) for t in seen] or 0)
        )
        for take in seen:
            pictures = take.pictures[camera]
            clipped = pictures.measures.clipped
            over = joined(
                (clipped >= _SOME) & ((clipped >= usual + _MORE) | (clipped >= WHITE)), 2
            )
            period = 1.0 / (take.fps or RATE)
            stretches = [
                (float(pictures.seconds[a]), float(pictures.seconds[b - 1] + period), a, b)
                for a, b in runs(over)
            ]
            if not (long := [s for s in stretches if s[1] - s[0] >= _SHORT - 1e-6]):
                continue
            start, end, a, b = max(long, key=lambda s: s[1] - s[0])
            worst = float(clipped[a:b].max())
            yield Finding(
                NAME,
                take.number,
                graver(worst, _MUCH),
                f'up to {100 * worst:.0f} % of the {camera} picture is burnt out from '
                f'{start:.1f} to {end:.1f} s, usually {100 * usual:.0f} %; leave it out, and fix '
                "the camera's exposure",
                camera,
                (start, end),
                float(pictures.seconds[a + int(np.argmax(clipped[a:b]))]),
            )
