"""How many pictures a second a camera gives: by its stamps, and by how many are new."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image_rate import SLOW
from so101_training.checks.finding import BAD, Finding, graver
from so101_training.checks.repeats import repeated
from so101_training.checks.runs import runs
from so101_training.checks.take import RATE, Collection, Pictures, Take

NAME = 'rate'

# Seconds over which a rate is taken, and for which it is slow when that is bad.
_WINDOW, _LONG = 1.0, 2.0

# A slow camera's pictures repeat every second time, or two of three, or one of three; what the
# encoder drops does not. The share of pictures that do as the one a period before, and of the
# times that repeats should begin; and periods that must be seen.
_PERIODS, _REGULAR, _RHYTHM, _SEEN = (2, 3, 4), 0.85, 0.7, 5

# The part of an episode that is slow when that is bad, however short.
_PART = 0.3


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for camera, pictures in take.pictures.items():
            if len(pictures.seconds) < 2:
                if take.fps is None:
                    text = f'the {camera} camera gave {len(pictures.seconds)} pictures'
                    yield Finding(NAME, take.number, BAD, f'{text}; leave it out', camera)
                continue
            nominal = take.fps or RATE
            slow = _by_stamps(pictures, nominal) if take.fps is None else None
            slow = slow or _by_repeats(take, pictures, nominal)
            if slow:
                start, end, rate, how = slow
                yield Finding(
                    NAME,
                    take.number,
                    graver(end - start, min(_LONG, _PART * take.duration)),
                    f'the {camera} camera fell to {rate:.0f} pictures a second from {start:.1f} '
                    f'to {end:.1f} s, {how}, where it gives {nominal:.0f}; leave it out, and look '
                    'at its light and its USB port',
                    camera,
                    (start, end),
                )
    yield from _missing(collection)


def _missing(collection: Collection) -> Iterator[Finding]:
    """Find the episodes of bags that lack a camera which others have, or all of them."""
    for take in collection.takes:
        if collection.dataset:
            return
        if not take.pictures:
            yield Finding(NAME, take.number, BAD, 'it holds no pictures; leave it out')
        for camera in collection.cameras if take.pictures else ():
            if camera not in take.pictures:
                text = f'it holds no pictures of the {camera} camera, others do; leave it out'
                yield Finding(NAME, take.number, BAD, text, camera)


def _by_stamps(pictures: Pictures, nominal: float) -> tuple[float, float, float, str] | None:
    """Return from when to when, at which rate, and how that is known."""
    seconds = np.sort(pictures.seconds)
    count = round(_WINDOW * nominal / 2)  # a window has so many pictures at half the rate
    if len(seconds) <= count:
        span = float(seconds[-1] - seconds[0])
        rate = (len(seconds) - 1) / span if span > 0 else nominal
        if span < _WINDOW or rate >= SLOW * nominal:
            return None
        return float(seconds[0]), float(seconds[-1]), rate, 'by its stamps'
    intervals = np.lib.stride_tricks.sliding_window_view(np.diff(seconds), count)
    # The median: one long gap is a gap, and told as such.
    slow = np.median(intervals, axis=1) > 1.0 / (SLOW * nominal)
    found = [(float(seconds[a]), float(seconds[b - 1 + count])) for a, b in runs(slow)]
    if not found:
        return None
    start, end = max(found, key=lambda each: each[1] - each[0])
    inside = (seconds >= start) & (seconds <= end)
    rate = (int(inside.sum()) - 1) / (end - start)
    return start, end, rate, 'by its stamps'


def _by_repeats(
    take: Take, pictures: Pictures, nominal: float
) -> tuple[float, float, float, str] | None:
    again, told = repeated(take, pictures)
    window = min(round(_WINDOW * nominal), len(again))
    known = _sums(told, window)
    begins = _sums(again & ~_later(again, 1), window)
    new = 1.0 - _sums(again, window) / np.maximum(known, 1)
    slow = np.zeros(len(known), dtype=bool)
    for period in _PERIODS:
        both = told & _later(told, period)
        alike = _sums(both & (again == _later(again, period)), window)
        pairs = _sums(both, window)
        regular = (pairs >= known / 2) & (alike >= _REGULAR * pairs)
        # Repeats that follow each other are a picture that stands: a gap, or frozen.
        rhythm = begins >= _RHYTHM * known / period
        slow |= (known >= _SEEN * period) & regular & rhythm & (new < SLOW)
    found = [(a, b - 1 + window) for a, b in runs(slow)]
    if not found:
        return None
    first, behind = max(found, key=lambda each: each[1] - each[0])
    # The edges of a window are as far out as half of it is slow.
    inside = np.flatnonzero(again[first:behind]) + first
    start, end = int(inside[0]) - 1, int(inside[-1])
    if end - start < window / 2:
        return None
    part = told[start : end + 1]
    rate = nominal * (1.0 - again[start : end + 1].sum() / max(part.sum(), 1))
    how = 'the others are repeated'
    return float(pictures.seconds[start]), float(pictures.seconds[end]), rate, how


def _later(mask: NDArray[np.bool_], samples: int) -> NDArray[np.bool_]:
    """Return the mask, so many samples later."""
    return np.concatenate((np.zeros(samples, dtype=bool), mask))[: len(mask)]


def _sums(mask: NDArray[np.bool_], window: int) -> NDArray[np.float64]:
    return np.convolve(mask, np.ones(window), 'valid').astype(np.float64)
