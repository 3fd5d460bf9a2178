"""Sound on the wall clock: what a microphone gave, placed where it belongs.

A microphone has a clock of its own, 0.01 % off for instance: its samples are not a 48000th of a
second of ours. It may also lose samples, and deliver late, but never too early: so of several
arrivals the most punctual one tells where the samples belong.
"""

import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]  # shape (n,), mono

RATE = 48_000  # Hz

_WINDOW = 1_000_000_000  # ns, in which at least one arrival is punctual

# Silence of the source, ns, after which nothing is known of where its samples belong.
_GAP = 500_000_000

# What is further off is mended at once, what is nearer by stretching, 0.1 %, which nobody hears.
_JUMP = 15 * RATE // 1000
_GOOD = RATE // 1000
_STRETCH = 1000

# A writer that is held up for longer loses the oldest.
_KEPT = 60 * RATE


class Sound:
    """Takes samples from one thread as they come, and gives another what was heard until then."""

    def __init__(self, started: int) -> None:
        """`started`: ns of the clock of all times here; the first sample given is heard then."""
        self.offset = 0.0  # s by which samples were placed too early, when the last ones came
        self._started = started
        self._taken = 0  # index of the next sample to be given
        self._buffer: Samples = np.empty(0, np.int16)
        self._end = 0  # index behind the buffer's last sample
        self._received = 0  # samples
        self._lateness: deque[tuple[int, int]] = deque()  # arrival, and its index less _received
        self._lock = threading.Lock()

    def add(self, samples: Samples, arrived: int) -> None:
        """Add the samples, at least one, of which the last was heard at `arrived` (ns)."""
        with self._lock:
            if self._lateness and arrived - self._lateness[-1][0] > _GAP:
                self._lateness.clear()
            self._received += len(samples)
            self._lateness.append((arrived, self._index(arrived) - self._received))
            while arrived - self._lateness[0][0] > _WINDOW:
                self._lateness.popleft()
            belongs = self._received + min(late for _, late in self._lateness)
            early = belongs - (self._end + len(samples))  # by which they would end too early
            if abs(early) > _JUMP:
                self._move(early)
            elif abs(early) > _GOOD:
                samples = _stretched(samples, early)
            self._append(samples)
            self.offset = (belongs - self._end) / RATE

    def take(self, until: int) -> Samples:
        """Return the samples from the last call's `until` (ns) to this one, silence for gaps."""
        with self._lock:
            given: Samples = np.zeros(max(0, self._index(until) - self._taken), np.int16)
            silence = max(0, self._end - len(self._buffer) - self._taken)
            heard = self._buffer[: max(0, len(given) - silence)]
            given[silence : silence + len(heard)] = heard
            self._buffer = self._buffer[len(heard) :]
            self._taken += len(given)
            return given

    def _move(self, later: int) -> None:
        """Have what comes next end later, after a silence, or, negative, all of it earlier."""
        if later > 0 and len(self._buffer):
            silence: Samples = np.zeros(min(later, _KEPT), np.int16)
            self._buffer = np.concatenate([self._buffer, silence])[-_KEPT:]
        self._end += later
        self._forget()

    def _append(self, samples: Samples) -> None:
        self._buffer = np.concatenate([self._buffer, samples])[-_KEPT:]
        self._end += len(samples)
        self._forget()

    def _forget(self) -> None:
        """Drop what came too late to be given."""
        self._buffer = self._buffer[max(0, self._taken - (self._end - len(self._buffer))) :]

    def _index(self, time: int) -> int:
        return (time - self._started) * RATE // 1_000_000_000


def _stretched(samples: Samples, by: int) -> Samples:
    """Return the samples with up to 0.1 %, at least one, more or less of them."""
    most = max(1, len(samples) // _STRETCH)
    number = len(samples) + max(-most, min(by, most))
    positions = np.linspace(0, len(samples) - 1, number)
    stretched = np.interp(positions, np.arange(len(samples)), samples)
    return np.rint(stretched).astype(np.int16)
