"""How smoothly the arm moved, and how closely it followed what it was told; pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A second. Ticks of the data sets, and of so101_policy.smoothness, whose figures these are.
TICKS = 30.0

# Seconds. Over a longer pause nothing is known of a motion, so no difference is taken across it.
PAUSE = 0.1


@dataclass(frozen=True)
class Track:
    """What the joints did: `times` (n,), s, and `degrees` (n, joints), in the order of recording.

    `part` (n,) numbers the stretches between jumps of the clock: times ascend within one.
    """

    times: Array
    degrees: Array
    part: NDArray[np.int64]

    def pieces(self) -> Iterator[tuple[Array, Array]]:
        """Yield times and degrees of each stretch without a pause."""
        steps = np.diff(self.times)
        breaks = (np.diff(self.part) != 0) | (steps <= 0) | (steps > PAUSE)
        ends = np.flatnonzero(breaks) + 1
        yield from zip(np.split(self.times, ends), np.split(self.degrees, ends), strict=True)


def smoothness(track: Track) -> dict[str, float | None]:
    """Return second (change) and third differences (jerk) in joint space, a tick apart, degrees.

    All joints together, by the length of the difference; None without four ticks in a row.
    """
    figures: dict[str, float | None] = {}
    for name, order in (('change', 2), ('jerk', 3)):
        lengths = np.concatenate([[], *(_lengths(*piece, order) for piece in track.pieces())])
        p95 = float(np.percentile(lengths, 95)) if len(lengths) else None
        figures[f'{name}_p95_degrees'] = p95
        figures[f'{name}_rms_degrees'] = _rms(lengths)
    return figures


def tracking(measured: Track, reference: Track) -> dict[str, float | None]:
    """Return how far the measured joints are off the reference at the same time, degrees."""
    errors = [_errors(measured, reference, part) for part in np.unique(reference.part)]
    error = np.concatenate([np.empty(0), *errors])
    return {
        'tracking_rms_degrees': _rms(error),
        'tracking_max_degrees': float(np.abs(error).max()) if len(error) else None,
    }


def travel(track: Track) -> float | None:
    """Return the largest range of a joint, degrees."""
    return float(np.ptp(track.degrees, axis=0).max()) if len(track.times) else None


def _lengths(times: Array, degrees: Array, order: int) -> Array:
    ticks = np.arange(times[0], times[-1], 1 / TICKS) if len(times) else times
    if len(ticks) <= order:
        return np.empty(0)
    rows = np.stack([np.interp(ticks, times, column) for column in degrees.T], axis=1)
    return np.linalg.norm(np.diff(rows, order, axis=0), axis=1)


def _errors(measured: Track, reference: Track, part: int) -> Array:
    told, was = reference.part == part, measured.part == part
    times = reference.times[told]
    was &= (measured.times >= times[0]) & (measured.times <= times[-1])
    rows = [np.interp(measured.times[was], times, row) for row in reference.degrees[told].T]
    return (measured.degrees[was] - np.stack(rows, axis=1)).ravel()


def _rms(values: Array) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None
