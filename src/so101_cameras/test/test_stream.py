"""A stream's figures, and what its status says of them."""

import numpy as np
import pytest

from so101_cameras.sources.source import DamagedFrame, Delivery, Frame
from so101_cameras.stream import Stream
from so101_cameras.stream_status import StreamStatus
from so101_node.diagnostics import Level

DELIVERY = Delivery('a camera', 'USB at 480 Mbit/s', 640, 480, 30.0, 'MJPG')


def frame(number: int, seconds: float, skipped: int = 0) -> Frame:
    return Frame(b'', int(seconds * 1e9), number, skipped)


@pytest.fixture
def stream() -> Stream:
    """A second of a sound stream, from 100 s to 101 s."""
    stream = Stream()
    stream.opened(DELIVERY, 100.0)
    for number in range(30):
        stream.received(frame(number, 5000 + number / 30), 100 + (number + 1) / 30)
    return stream


def judged(stream: Stream, now: float) -> tuple[Level, str]:
    status = StreamStatus('wrist_camera/stream', stream, 30.0).status(now)
    return status.level, status.message


def test_the_rate_is_that_of_the_stamps(stream: Stream) -> None:
    assert stream.rate(101.0) == pytest.approx(30)
    assert stream.rate(105.0) == 0
    assert judged(stream, 101.0) == (Level.OK, '30.0 Hz')


def test_a_gap_in_the_numbers_is_lost_but_for_what_was_skipped(stream: Stream) -> None:
    status = StreamStatus('wrist_camera/stream', stream, 30.0)
    stream.received(frame(35, 5001.2, skipped=2), 101.2)
    assert (stream.counts.lost, stream.counts.skipped) == (3, 2)
    first = status.status(101.3)
    assert (first.level, first.message[:13]) == (Level.WARN, '3 frames lost')
    assert (first.values['lost'], first.values['skipped']) == (3, 2)
    assert 'lost' not in status.status(101.3).message  # none since the last time


def test_a_damaged_frame_is_not_lost_as_well(stream: Stream) -> None:
    status = StreamStatus('wrist_camera/stream', stream, 30.0)
    stream.damaged(DamagedFrame('cut off', 30))
    stream.received(frame(31, 5001.1), 101.1)
    assert (stream.counts.lost, stream.counts.damaged) == (0, 1)
    assert '1 damaged ones (cut off)' in status.status(101.2).message


def test_numbers_that_start_again_are_no_loss(stream: Stream) -> None:
    stream.opened(DELIVERY, 102.0)
    stream.received(frame(5000, 5002.0), 102.0)
    assert (stream.counts.lost, stream.counts.reconnects) == (0, 1)
    stream.received(frame(0, 5002.1), 102.1)
    assert stream.counts.lost == 0


def test_silence_absence_and_a_hung_driver_are_errors(stream: Stream) -> None:
    assert judged(stream, 102.6) == (Level.ERROR, 'no frame for 1.6 s: check the cable')
    stream.failed('it is not there')
    assert judged(stream, 101.0) == (Level.ERROR, 'it is not there')
    stream.asked_at = 101.0
    assert judged(stream, 108.0)[1].startswith("the camera's driver has not answered for 7 s")


def test_half_the_rate_is_a_warning() -> None:
    stream = Stream()
    stream.opened(DELIVERY, 0.0)
    for number in range(30):
        stream.received(frame(number, number / 15), number / 15)
    assert judged(stream, 2.0) == (
        Level.WARN,
        '15.0 Hz of 30: more light, a shorter exposure, or another USB port',
    )


def test_what_the_source_warns_of_is_shown(stream: Stream) -> None:
    stream.delivery = Delivery(*list(vars(DELIVERY).values())[:6], ('gain refused', 'USB 2'))
    assert judged(stream, 101.0) == (Level.WARN, 'gain refused; USB 2')


def test_values_are_what_a_message_can_carry(stream: Stream) -> None:
    values = StreamStatus('wrist_camera/stream', Stream(), 30.0).status(1.0).values
    assert values['connected'] is False and 'device' not in values
    values = StreamStatus('wrist_camera/stream', stream, 30.0).status(101.0).values
    assert values['age_ms'] == pytest.approx(0, abs=1)
    assert values['link'] == 'USB at 480 Mbit/s'
    assert np.isnan(values['latency_p95_ms'])
