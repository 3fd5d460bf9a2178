"""The thread that reads a source: its newest frames, and the source again after it went; pure."""

import contextlib
import threading
import time
from collections.abc import Callable

from so101_cameras.sources.source import DamagedFrame, Delivery, Ended, Frame, Source, SourceError
from so101_cameras.stream import Stream

# Seconds between two attempts to open it: the first, and the longest, to which they double.
_RETRY, _LONGEST_RETRY = 0.1, 1.0

# Seconds that a read may take: so soon it is noticed that the program ends.
_READ = 0.2

# A stream without a frame for so many seconds is opened anew. A C920 takes one to start.
SILENCE = 3.0


class Capture:
    """Reads `source` until `stop`; `run` belongs in a thread of its own.

    Each frame goes to `deliver`, which raises DamagedFrame for one that turns out to be none.
    `opened` and `failed` are called when the stream comes and goes; the latter once a reason.
    """

    def __init__(
        self,
        source: Source,
        deliver: Callable[[Frame], None],
        opened: Callable[[Delivery], None],
        failed: Callable[[str], None],
    ) -> None:
        self.stream = Stream()
        self._source = source
        self._deliver = deliver
        self._opened = opened
        self._failed = failed
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Read until `stop`, or until the frames come to their end.

        On every way out the source is closed. Raises UserError for what only a person can change.
        """
        said = ''
        retry = _RETRY
        while not self._stop.is_set():
            received = self.stream.counts.received
            try:
                self._read_until_it_fails()
            except Ended:
                return
            except SourceError as error:
                self.stream.failed(str(error))
                if self.stream.counts.received > received:
                    said, retry = '', _RETRY  # it was there meanwhile
                if str(error) != said:
                    self._failed(str(error))
                    said = str(error)
            finally:
                self._ask(self._source.close)
            self._stop.wait(retry)
            retry = min(2 * retry, _LONGEST_RETRY)

    def _read_until_it_fails(self) -> None:
        stream = self.stream
        delivery = self._ask(self._source.open)
        self._opened(delivery)
        stream.opened(delivery, time.monotonic())
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                self._pass_on_a_frame()
            # Asked after a read: frames wait for a computer that was held up for so long.
            if stream.age(time.monotonic()) > SILENCE:
                raise SourceError(
                    f'no sound frame for {SILENCE:g} s: the stream is opened anew; check the cable'
                )

    def _pass_on_a_frame(self) -> None:
        stream = self.stream
        try:
            frame = self._ask(lambda: self._source.read(_READ))
            self._deliver(frame)
        except DamagedFrame as error:
            stream.damaged(error)
            return
        stream.latency.add((time.time_ns() - frame.captured) * 1e-9)
        stream.received(frame, time.monotonic())

    def _ask[T](self, question: Callable[[], T]) -> T:
        """Call the device, noting since when: its driver may never answer."""
        self.stream.asked_at = time.monotonic()
        try:
            return question()
        finally:
            self.stream.asked_at = None
