"""What is known of a camera's stream: rate, age, losses, and why there is none; pure."""

from collections import deque
from dataclasses import dataclass

from so101_cameras.sources.source import DamagedFrame, Delivery, Frame
from so101_node.samples import Samples

# Frames by whose stamps the rate is measured, at most.
_WINDOW = 60

# A frame that is older than this, in seconds, does not count for the rate.
_RECENT = 3.0


@dataclass(frozen=True)
class Counts:
    """Of frames, and of how often the source was opened again."""

    received: int = 0
    lost: int = 0  # between the camera and this computer, or because nobody took them
    skipped: int = 0  # waited beside a newer one
    damaged: int = 0
    reconnects: int = 0


class Stream:
    """Told what happens by the thread that reads; any thread may ask. Times in seconds of one
    steady clock, stamps in nanoseconds of system time."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.delivery: Delivery | None = None  # None: there is no stream
        self.reason = 'the camera was not opened yet'  # why there is none
        self.damage = ''  # the last reason of a damaged frame
        self.latency = Samples()  # seconds from capture to published
        self.asked_at: float | None = None  # since when the device has owed an answer
        self.arrived_at = 0.0  # of the last frame, or of the opening
        self._stamps: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._number: int | None = None

    def opened(self, delivery: Delivery, now: float) -> None:
        if self.counts.received:
            self._count(reconnects=1)
        self.delivery, self.reason = delivery, ''
        self.arrived_at = now
        self._number = None
        self._stamps.clear()

    def failed(self, reason: str) -> None:
        self.delivery, self.reason = None, reason

    def received(self, frame: Frame, now: float) -> None:
        gap = self._passed(frame.number)
        self._count(received=1, lost=max(0, gap - frame.skipped), skipped=frame.skipped)
        self.arrived_at = now
        self._stamps.append((now, frame.captured))

    def damaged(self, frame: DamagedFrame) -> None:
        self._count(damaged=1, lost=self._passed(frame.number))
        self.damage = str(frame)

    def rate(self, now: float) -> float:
        """Return the rate by the stamps of the last frames in hertz, 0 of less than two."""
        recent = [stamp for arrived, stamp in list(self._stamps) if now - arrived < _RECENT]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return 0.0
        return (len(recent) - 1) / ((recent[-1] - recent[0]) * 1e-9)

    def age(self, now: float) -> float:
        """Return the seconds since the last frame arrived, or since the stream was opened."""
        return now - self.arrived_at

    def owed(self, now: float) -> float:
        """Return for how many seconds the device has owed an answer."""
        asked = self.asked_at
        return 0.0 if asked is None else now - asked

    def _passed(self, number: int) -> int:
        """Return how many frames are missing before this one."""
        last, self._number = self._number, number
        return max(0, number - last - 1) if last is not None else 0

    def _count(self, **more: int) -> None:
        counts = vars(self.counts)
        self.counts = Counts(**counts | {name: counts[name] + n for name, n in more.items()})
