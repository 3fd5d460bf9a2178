"""What goes wrong with a stream is found within a second, and marked while it lasts."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from so101_episodes.episode import Mark
from so101_episodes.stream_watch import StreamWatch

MS = 1_000_000
EPOCH = 1_700_000_000_000_000_000  # of system time when the monotonic clock began
JOINTS = '/joint_states'


def jpeg(level: int) -> bytes:
    return cv2.imencode('.jpg', np.full((480, 640), level, np.uint8))[1].tobytes()


PICTURES = [jpeg(level) for level in range(100, 120)]
BLACK = jpeg(0)


class Feed:
    """An arm at 200 Hz and a wrist camera at 30, a look every 30 ms; faults by their times, ms."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed` of the arm, rad/s."""
        self.speed = speed
        self.no_image: Callable[[int], bool] = lambda _: False
        self.no_state: Callable[[int], bool] = lambda _: False
        self.same: Callable[[int], bool] = lambda _: False
        self.stamp_stands: Callable[[int], bool] = lambda _: False
        self.black: Callable[[int], bool] = lambda _: False
        self.clock: Callable[[int], int] = lambda _: 0  # ms that system time is set forward
        self.begun: list[tuple[int, Mark]] = []  # with the time at which it was told, ms
        self.watch = StreamWatch(['wrist'], JOINTS, 0, EPOCH)
        self._picture, self._stamp = PICTURES[0], 0

    def run(self, until: int) -> list[Mark]:
        for ms in range(until):
            if ms % 5 == 0 and not self.no_state(ms):
                self.watch.joint_state(ms * MS)
                self.watch.pose(ms * MS, [self.speed * ms / 1000] * 6)
            if ms % 33 == 0 and not self.no_image(ms):
                if not self.same(ms):
                    self._picture = BLACK if self.black(ms) else PICTURES[ms // 33 % 20]
                if not self.stamp_stands(ms):
                    self._stamp = ms
                stamp = EPOCH + (self._stamp + self.clock(ms)) * MS
                self.watch.image('wrist', ms * MS, stamp, self._picture)
            if ms % 30 == 0:
                system = EPOCH + (ms + self.clock(ms)) * MS
                self.begun += [(ms, mark) for mark in self.watch.look(ms * MS, system)]
        return self.watch.marks(until * MS)


def spans(marks: list[Mark]) -> list[tuple[str, str, int, int]]:
    """Return source, kind, and the times in ms."""
    return [(m.source, m.kind, (m.start - EPOCH) // MS, (m.end - EPOCH) // MS) for m in marks]


def test_nothing_is_wrong_with_sound_streams() -> None:
    feed = Feed()
    assert feed.run(5000) == []
    assert (feed.watch.number, feed.watch.lasting, feed.watch.latest) == (0, False, '')


def test_a_camera_that_falls_silent_is_marked_until_it_is_back() -> None:
    feed = Feed()
    feed.no_image = lambda ms: 1000 <= ms < 3000
    ((source, kind, start, end),) = spans(feed.run(5000))
    assert (source, kind, start, end) == ('wrist', 'silent', 990, 3003)
    ((told, mark),) = feed.begun
    assert told - start < 1000
    assert mark.text == feed.watch.latest == 'no image of the wrist camera for 0.5 s'
    assert not feed.watch.lasting


def test_a_camera_that_never_comes_is_silent_from_the_beginning_to_the_end() -> None:
    feed = Feed()
    feed.no_image = lambda _: True
    assert spans(feed.run(2000)) == [('wrist', 'silent', 0, 2000)]
    assert feed.watch.lasting


def test_a_picture_that_stands_still_while_the_arm_moves_is_frozen() -> None:
    feed = Feed(speed=0.3)
    feed.same = lambda ms: 1000 <= ms < 3000
    assert spans(feed.run(5000)) == [('wrist', 'frozen', 990, 3003)]
    assert feed.begun[0][0] - 1000 < 1000


def test_a_scene_at_rest_is_not_frozen_nor_is_one_that_the_arm_begins_to_leave() -> None:
    still = Feed(speed=0.0)
    still.same = lambda ms: ms > 100
    assert still.run(10_000) == []
    # At rest for two seconds, then as fast as the arm can; its pictures are 66 ms late.
    watch = StreamWatch(['wrist'], JOINTS, 0, EPOCH)
    for ms in range(4000):
        moved = max(0, ms - 2000)
        if ms % 5 == 0:
            watch.joint_state(ms * MS)
            watch.pose(ms * MS, [3.0 * moved / 1000] * 6)
        if ms % 33 == 0:
            seen = max(0, moved - 66) // 33
            watch.image('wrist', ms * MS, EPOCH + ms * MS, PICTURES[seen % 20])
        watch.look(ms * MS, EPOCH + ms * MS)
    assert watch.marks(4000 * MS) == []


def test_stamps_that_stand_still_are_frozen_also_at_rest() -> None:
    feed = Feed(speed=0.0)
    feed.stamp_stands = lambda ms: 1000 <= ms < 2000
    assert spans(feed.run(3000)) == [('wrist', 'frozen', 990, 2013)]
    assert 'stamps' in feed.watch.latest


def test_a_black_picture_is_marked_within_a_second() -> None:
    feed = Feed()
    feed.black = lambda ms: 1000 <= ms < 3000
    ((source, kind, start, end),) = spans(feed.run(5000))
    assert (source, kind) == ('wrist', 'black')
    assert 1000 <= start < 1300
    assert 3000 <= end < 3300
    assert feed.begun[0][0] < 1400


@pytest.mark.parametrize(('pause', 'marked'), [(95, False), (120, True), (2000, True)])
def test_a_bus_that_drops_out_is_a_gap(pause: int, marked: bool) -> None:
    feed = Feed()
    feed.no_state = lambda ms: 1000 < ms < 1000 + pause
    marks = spans(feed.run(4000))
    assert marks == ([(JOINTS, 'gap', 1000, 1000 + pause)] if marked else [])


def test_a_gap_between_two_looks_is_found_too() -> None:
    watch = StreamWatch([], JOINTS, 0, EPOCH)
    for ms in (0, 5, 10, 200, 205):
        watch.joint_state(ms * MS)
    assert spans(watch.look(210 * MS, EPOCH + 210 * MS)) == [(JOINTS, 'gap', 10, 200)]


@pytest.mark.parametrize('jump', [3_600_000, -3_600_000, 50, -50])
def test_a_clock_that_jumps_is_marked_and_nothing_else_is(jump: int) -> None:
    feed = Feed()
    feed.clock = lambda ms: jump if ms >= 1000 else 0
    (mark,) = feed.run(3000)
    at = 1020 + jump  # the first look after it
    assert spans([mark]) == [('clock', 'clock', at, at)]
    assert f'{jump / 1000:+.3f} s' in mark.text
    assert feed.begun[0][0] == 1020


def test_a_clock_that_is_slewed_has_not_jumped() -> None:
    feed = Feed()
    feed.clock = lambda ms: ms // 1000
    assert feed.run(60_000) == []


def test_what_lasts_over_a_jump_is_in_two_parts_each_in_its_own_time() -> None:
    feed = Feed()
    feed.no_image = lambda ms: 300 < ms < 2000
    feed.clock = lambda ms: -10_000 if ms >= 1200 else 0
    silent = [span for span in spans(feed.run(3000)) if span[1] == 'silent']
    assert silent == [
        ('wrist', 'silent', 297, 1200),
        ('wrist', 'silent', 1200 - 10_000, 2013 - 10_000),
    ]
