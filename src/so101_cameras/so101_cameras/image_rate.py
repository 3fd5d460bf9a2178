"""How many images a second a camera captures, and since when that is too few; pure.

Judged by the times of capture: that images come in bursts says how busy the machine is.
"""

from collections import deque

import numpy as np

# The part of the nominal rate below which a camera is slow. Half of it is what a camera does that
# ran out of light or of USB bandwidth; 24 or 25 images a second are some cameras' own way.
SLOW = 0.75

# Seconds that images came later, in all, than a camera just fast enough would have given them.
# At half the rate it takes seven images, 0.47 s.
_DEBT = 0.15

# Periods: a longer pause counts as this one. A single one, however long, is no rate.
_PAUSE = 5

_KEPT = 31  # images: a second


class ImageRate:
    """Takes the times of images, nanoseconds: of capture, and of arrival for `since`."""

    def __init__(self, nominal: float) -> None:
        """`nominal`: images a second."""
        self.slow = False
        self.since = 0  # the last image before it became slow
        self.until = 0  # the last one that came too late
        self._period = 1.0 / nominal
        self._limit = self._period / SLOW
        self._debt = 0.0
        self._count = 0  # of images since
        self._captured: deque[int] = deque(maxlen=_KEPT)

    def add(self, arrived: int, captured: int) -> None:
        if not self._captured:
            self.since = arrived
        else:
            seconds = (captured - self._captured[-1]) * 1e-9
            late = float(np.clip(seconds, 0.0, _PAUSE * self._period)) - self._limit
            self._debt = min(max(self._debt + late, 0.0), _DEBT)
            self._count += 1
            if late > 0:
                self.until = arrived
            if self._debt >= _DEBT:
                self.slow = True
            elif self._debt == 0.0:
                self.slow = False
                self.since, self._count = arrived, 0
        self._captured.append(captured)

    @property
    def hz(self) -> float:
        """Images a second of the last second; NaN of fewer than two."""
        span = self._captured[-1] - self._captured[0] if self._captured else 0
        return (len(self._captured) - 1) / (span * 1e-9) if span > 0 else float('nan')

    @property
    def slow_hz(self) -> float:
        """Images a second since it became slow."""
        span = self.until - self.since
        return self._count / (span * 1e-9) if span > 0 else float('nan')

    @property
    def jitter(self) -> float:
        """The seconds by which 95 of 100 intervals differ at most from the usual one, or NaN."""
        intervals = np.diff(np.array(self._captured)) * 1e-9
        if len(intervals) < 2:
            return float('nan')
        return float(np.percentile(np.abs(intervals - np.median(intervals)), 95))
