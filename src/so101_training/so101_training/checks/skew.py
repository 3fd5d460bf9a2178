"""Cameras whose pictures are of different moments, by their stamps and by what they show."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from so101_training.checks.finding import Finding, graver
from so101_training.checks.shift import shift
from so101_training.checks.take import RATE, Collection, Floats, Pictures, Take

NAME = 'skew'

# Seconds between the images of one observation: what the policy allows (max_camera_skew), and
# twice that.
_ALLOWED, _BAD = 0.05, 0.1

# Seconds by which what a camera shows may lag behind the joints, or its own usual lag: 0.06 s are
# measured in simulation, a USB camera takes up to 0.12; the shift is found to a third of a period.
_LATE, _UNUSUAL, _VERY_LATE = 0.2, 0.1, 0.3

# Seconds: over more than this, how much a picture changes says where the arm is, not how fast it
# moves. And seconds that are tried, and the correlation from which the shift is believed.
_SLOW, _TRIED, _ALIKE = 0.83, 0.6, 0.5


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for one, other in combinations(take.pictures, 2):
            apart = _apart(take.pictures[one], take.pictures[other])
            if apart is None or abs(apart) <= _ALLOWED:
                continue
            first, second = (one, other) if apart > 0 else (other, one)
            yield Finding(
                NAME,
                take.number,
                graver(abs(apart), _BAD),
                f'the newest pictures of the {second} camera are {1e3 * abs(apart):.0f} ms older '
                f'than those of the {first} camera that are there with them, half of the time; '
                f'the policy allows {1e3 * _ALLOWED:.0f}; leave it out, and look at its stamps',
                second,
            )
    for camera in collection.cameras:
        yield from _late(collection, camera)


def _apart(one: Pictures, other: Pictures) -> float | None:
    """Return by how many seconds the newest picture of `one` is younger than of `other`, usually.

    Looked at whenever a picture arrives, as the policy would.
    """
    if one.arrived is None or other.arrived is None or not len(one.seconds) * len(other.seconds):
        return None
    ticks = np.arange(
        max(one.arrived[0], other.arrived[0]), min(one.arrived[-1], other.arrived[-1]), 1.0 / RATE
    )
    if not len(ticks):
        return None
    newest = [
        np.sort(p.seconds)[np.searchsorted(np.sort(p.arrived), ticks, side='right') - 1]
        for p in (one, other)
        if p.arrived is not None
    ]
    return float(np.median(newest[0] - newest[1]))


def _late(collection: Collection, camera: str) -> Iterator[Finding]:
    """Find pictures that show the arm's motion at another time than the joints do."""
    found = {
        take.number: late
        for take in collection.takes
        if camera in take.pictures and (late := lateness(take, take.pictures[camera])) is not None
    }
    usual = float(np.median(list(found.values()))) if found else 0.0
    for number, late in found.items():
        if abs(late - usual) <= _UNUSUAL and -_ALLOWED * 2 <= late <= _LATE:
            continue
        where = 'behind' if late >= 0 else 'ahead of'
        yield Finding(
            NAME,
            number,
            graver(max(abs(late - usual) * 1.5, abs(late)), _VERY_LATE),
            f'what the {camera} camera shows is {1e3 * abs(late):.0f} ms {where} the joints, '
            f'usually {1e3 * usual:.0f}; leave it out, and look at the stamps',
            camera,
        )


def lateness(take: Take, pictures: Pictures) -> float | None:
    """Return by how many seconds the picture moves after the joints; None when nothing tells.

    Where the arm is fast the picture changes much, some time later.
    """
    if take.state is None or len(pictures.seconds) < RATE:
        return None
    grid = np.arange(pictures.seconds[0], pictures.seconds[-1], 1.0 / RATE)
    speed = np.abs(np.gradient(take.state.at(grid), axis=0)).sum(axis=1)
    change = np.interp(grid, pictures.seconds, pictures.measures.change)
    most = round(_TRIED * RATE)
    found = shift(_quick(speed), _quick(change), most)
    if found is None or found.likeness < _ALIKE or abs(found.samples) > most - 1:
        return None
    return found.samples / RATE


def _quick(values: Floats) -> Floats:
    """Return what varies within _SLOW, (n, 1)."""
    root = np.sqrt(values)  # else a few fast moments are all that counts
    half = round(_SLOW * RATE / 2)
    ends = np.pad(root, half, mode='edge')
    mean = np.convolve(ends, np.ones(2 * half + 1) / (2 * half + 1), 'valid')
    return (root - mean)[:, None]
