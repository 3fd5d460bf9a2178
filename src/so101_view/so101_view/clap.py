"""The clap test: a flash and a beep made at once, and where a video has them."""

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from so101_view.sound import RATE, Samples
from so101_view.video_file import started

_BLOCK = 0.02  # seconds of sound that come at once
_FLASH = 0.2  # seconds
_BEEP = 0.1
_LOUD = 0.25  # of full scale; the beep is twice as loud
_BRIGHT = 200  # mean of the picture, of 255
_NEAR = 0.4  # seconds around a clap in which it is looked for

# Seconds. A busy machine holds up this thread, which neither a camera nor a microphone would be: a
# clap counts when nothing came later than the one, and some of the sound no later than the other.
_LATE = 0.2
_PUNCTUAL = 0.005


class Clapper:
    """A camera and a microphone in a thread, which notice a clap each `every` seconds.

    A clap happens when an image is taken, which comes `latency` seconds later; a block of sound
    comes once its last sample is over. `claps`: when those were that count, ns of system time.
    """

    def __init__(
        self,
        camera: Callable[[bool, int], None],
        microphone: Callable[[Samples], None],
        fps: float = 30.0,
        every: float = 0.8,
        latency: float = 0.0,
    ) -> None:
        """`camera` gets whether it is bright, and the ns of system time at which it was so."""
        self.claps: list[int] = []
        self._camera = camera
        self._microphone = microphone
        self._fps = fps
        self._every = max(1, round(every * fps)) / fps  # a clap is where an image is
        self._latency = latency
        at = np.arange(round(_BEEP * RATE)) / RATE
        tone = (np.sin(2 * np.pi * 1000 * at) * 2 * _LOUD * 32767).astype(np.int16)
        self._sound = np.zeros(round(self._every * RATE), np.int16)  # from one clap to the next
        self._sound[: len(tone)] = tone
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name='clapper')

    def __enter__(self) -> 'Clapper':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        began, wall = time.monotonic(), time.time_ns()
        lateness = []  # since the last clap, of the sound
        for due, at, is_image in heapq.merge(self._images(), self._blocks()):
            if self._closing.wait(began + due - time.monotonic()):
                return
            since = (at + 1e-6) % self._every  # the last clap
            if is_image:
                self._camera(since < _FLASH, wall + round(at * 1e9))
            else:
                first = round(at * RATE) % len(self._sound)
                block = np.arange(first, first + round(_BLOCK * RATE)) % len(self._sound)
                self._microphone(self._sound[block])
                lateness.append(time.monotonic() - began - due)
                if since + _BLOCK >= self._every:  # the next block begins with a clap
                    if max(lateness) < _LATE and min(lateness) < _PUNCTUAL:
                        self.claps.append(wall + round((at - since) * 1e9))
                    lateness = []

    def _images(self) -> Iterator[tuple[float, float, bool]]:
        for i in count():
            yield i / self._fps + self._latency, i / self._fps, True

    def _blocks(self) -> Iterator[tuple[float, float, bool]]:
        for i in count():
            yield (i + 1) * _BLOCK, i * _BLOCK, False


class Seen(NamedTuple):
    """Seconds after a clap at which a video shows the flash, and lets the beep be heard."""

    flash: float
    beep: float

    @property
    def offset(self) -> float:
        """Seconds from the flash to the beep."""
        return self.beep - self.flash


def seen(path: Path, claps: Sequence[int]) -> list[Seen]:
    """Return where a video of ours has each of these claps (ns); NaN for what it lacks.

    Claps within a second of its ends are left out.
    """
    with av.open(path) as video:
        shown = [
            (f.time or 0.0, f.to_ndarray(format='gray').mean()) for f in video.decode(video=0)
        ]
    with av.open(path) as video:
        sounds = [(f.time or 0.0, np.abs(f.to_ndarray()[0])) for f in video.decode(audio=0)]
    brightness = np.array([value for _, value in shown])
    loudness = np.concatenate([samples for _, samples in sounds])  # 1.0 is full scale
    flashes = np.array([at for at, _ in shown])[_onsets(brightness > _BRIGHT, 1)]
    beeps = sounds[0][0] + _onsets(loudness > _LOUD, round(_BEEP * RATE)) / RATE
    times = [(clap - started(path)) * 1e-9 for clap in claps]
    return [
        Seen(_after(at, flashes), _after(at, beeps)) for at in times if 1 < at < shown[-1][0] - 1
    ]


def _onsets(high: np.ndarray, pause: int) -> np.ndarray:
    """Return the indices of what is high after a pause of that many that were not."""
    found = np.flatnonzero(high)
    return found[np.diff(found, prepend=-pause - 1) > pause]


def _after(clap: float, onsets: np.ndarray) -> float:
    """Return how long after the clap the onset near it is."""
    late = onsets - clap
    near = late[np.abs(late) < _NEAR]
    return float(near[np.argmin(np.abs(near))]) if len(near) else float('nan')
