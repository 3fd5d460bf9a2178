"""When a source is opened anew: after silence, not after this computer was held up."""

import time
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from so101_cameras import capture
from so101_cameras.sources.source import Delivery, Frame

SILENCE = 0.2


class Frames:
    """A source that has a frame whenever it is asked; or only once it was opened again."""

    def __init__(self, *, silent_at_first: bool = False) -> None:
        self.opened = 0
        self._silent_at_first = silent_at_first
        self._number = 0

    def open(self) -> Delivery:
        self.opened += 1
        return Delivery('emulated', 'none', 640, 480, 30.0, 'MJPG')

    def read(self, timeout: float) -> Frame:
        if self._silent_at_first and self.opened == 1:
            time.sleep(SILENCE / 4)
            raise TimeoutError
        self._number += 1
        return Frame(b'', time.time_ns(), self._number)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, 'SILENCE', SILENCE)


def run(source: Frames, hold_up: Callable[[str], None]) -> Mock:
    """Read ten frames; return what was called when the stream went."""
    failed = Mock()

    def deliver(frame: Frame) -> None:
        if frame.number == 5:
            hold_up('deliver')
        if frame.number == 10:
            reading.stop()

    reading = capture.Capture(source, deliver, lambda _: hold_up('opened'), failed)
    reading.run()
    assert reading.stream.counts.received == 10
    return failed


@pytest.mark.parametrize('where', ['opened', 'deliver'])
def test_a_computer_that_is_held_up_keeps_the_stream(where: str) -> None:
    source = Frames()

    def hold_up(place: str) -> None:
        if place == where and source.opened == 1:
            time.sleep(2 * SILENCE)

    failed = run(source, hold_up)
    failed.assert_not_called()
    assert source.opened == 1


def test_a_silent_stream_is_opened_anew() -> None:
    source = Frames(silent_at_first=True)
    failed = run(source, lambda _: None)
    failed.assert_called_once()
    assert 'no sound frame' in failed.call_args.args[0]
    assert source.opened == 2
