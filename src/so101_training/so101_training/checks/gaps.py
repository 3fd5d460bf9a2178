"""Stretches of a stream in which nothing came, or in which the conversion had to fill in."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_training.checks.finding import BAD, DOUBTFUL, Finding, and_more, graver
from so101_training.checks.frozen import LONG, TRAVEL, jumps, stretches
from so101_training.checks.take import Collection, Pictures, Take
from so101_training.conversion.ticks import DROPPED, LATE, REPEATED

NAME = 'gaps'

# Seconds without a sample. Three pictures of 30 a second, and what the recorder calls a gap of the
# joint states; half a second is what it calls a silent camera.
_SHORT, _LONG = 0.13, 0.5
_JOINTS = 0.1

# Of a picture that stands in a dataset: how many times it comes again, and the arm's travel
# meanwhile, degrees. A camera that lost nothing would have shown that on the way.
_STANDS = 4
_MOVED = 1.5

# Shares of an episode's samples that a conversion made up: of its pictures, and of the others.
_SOME, _MUCH = 0.1, 0.3

# The kinds of them that are a loss. Every state is interpolated to the time of its pictures.
_LOSSES = (REPEATED, LATE, DROPPED)


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            if take.fps is None:
                yield from _silent(take, f'the {camera} camera', pictures.seconds, _SHORT, camera)
            yield from _standing(take, camera, pictures)
        if take.fps is None and take.state is not None:
            yield from _silent(take, 'joint_states', take.state.seconds, _JOINTS)
        yield from _made_up(take)


def _silent(
    take: Take, what: str, seconds: NDArray[np.float64], short: float, camera: str = ''
) -> Iterator[Finding]:
    """Find gaps between stamps, and those before the first and after the last."""
    if not len(seconds):
        return
    times = np.concatenate(([0.0], np.sort(seconds), [take.duration]))
    gaps = np.diff(times)
    gaps[[0, -1]] -= LONG  # streams begin and end one after the other
    long = np.flatnonzero(gaps > short)
    if not len(long):
        return
    worst = int(long[np.argmax(gaps[long])])
    start, end = float(times[worst]), float(times[worst + 1])
    yield Finding(
        NAME,
        take.number,
        graver(end - start, _LONG),
        f'nothing came from {what} for {end - start:.2f} s, from {start:.1f} s on'
        f'{and_more(len(long))}; look whether the arm moved meanwhile',
        camera,
        (start, end),
    )


def _standing(take: Take, camera: str, pictures: Pictures) -> Iterator[Finding]:
    if take.state is None:
        return
    found = []
    measures = pictures.measures
    for first, last in stretches(measures):
        start, end = float(pictures.seconds[first]), float(pictures.seconds[last])
        if last - first < _STANDS:
            continue
        travel = take.state.travel(start, end)
        if end - start >= LONG and travel >= TRAVEL:
            continue  # that is told as frozen
        if travel >= _MOVED and jumps(measures, first, last, travel):
            found.append((start, end, travel))
    if found:
        start, end, travel = max(found, key=lambda each: each[1] - each[0])
        yield Finding(
            NAME,
            take.number,
            DOUBTFUL,
            f'the {camera} camera lost pictures: the same one stands from {start:.2f} to '
            f'{end:.2f} s while the arm moves by {travel:.0f} degrees, then it jumps'
            f'{and_more(len(found))}; look at it there',
            camera,
            (start, end),
        )


def _made_up(take: Take) -> Iterator[Finding]:
    """Find what the manifest of the conversion tells."""
    fps = take.fps or 1.0
    for each in take.substitutions:
        share = each.samples / max(round(take.duration * fps), 1)
        if each.kind not in _LOSSES or (share < _SOME and each.longest < _SHORT):
            continue
        camera = each.stream if each.stream in take.pictures else ''
        grave = each.kind == REPEATED and (share >= _MUCH or each.longest >= _LONG)
        yield Finding(
            NAME,
            take.number,
            BAD if grave else DOUBTFUL,
            f'the conversion found {each.samples} samples of {each.stream} ({100 * share:.0f} %) '
            f'{each.kind}, up to {each.longest:.2f} s in one go; look at the recording',
            camera,
        )
