"""Each fault of a camera is found within a second, and a sound stream has none."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_cameras.image import Array, to_jpeg
from so101_cameras.image_health import RATE, Change, ImageHealth, Kind
from so101_cameras.picture import Compressed
from so101_cameras.poses import Poses

S = 1_000_000_000
MS = 1_000_000
PERIOD = round(S / RATE)
LATENCY = 60 * MS

Pictures = Callable[[int], Array]


def scene(number: int) -> Array:
    """Return a scene with a noise of its own; at 80x60 it takes as long as its blocks would."""
    rows, columns = np.mgrid[:480, :640]
    pixels = np.stack((rows // 4 + 60, columns // 5 + 50, (rows + columns) // 8 + 40), axis=2)
    pixels[0, number % 640] += 7
    return pixels.astype(np.uint8)


SCENES = [to_jpeg(scene(number)) for number in range(20)]


class Stream:
    """A camera at 30 Hz by whatever clock, an arm at 50 Hz, and a look every 0.1 s."""

    def __init__(self, name: str = 'overhead', speed: float = 0.0) -> None:
        """`speed` of the arm, rad/s."""
        self.poses = Poses()
        self.health = ImageHealth(name, self.poses, 0)
        self.speed = speed
        self.now = 0
        self.number = 0
        self.told: list[tuple[int, Change]] = []  # with the time at which it was
        self.jpeg: Callable[[int], bytes] = lambda number: SCENES[number % 20]
        self.comes: Callable[[int], bool] = lambda _: True
        self.stamp: Callable[[int], int] = lambda now: now - LATENCY
        self._pose = 0.0

    def run(self, seconds: float) -> list[Change]:
        """Go on for so long; return what changed."""
        before = len(self.told)
        end = self.now + round(seconds * S)
        while self.now < end:
            self.now += MS
            if self.now % (20 * MS) == 0:
                self._pose += self.speed * 0.02
                self.poses.add(self.now, [self._pose] * 6)
            if self.now // PERIOD > self.number:
                self.number += 1
                if self.comes(self.number):
                    jpeg = Compressed(self.jpeg(self.number))
                    self._tell(self.health.image(self.now, self.stamp(self.now), jpeg))
            if self.now % (100 * MS) == 0:
                self._tell(self.health.look(self.now))
        return [change for _, change in self.told[before:]]

    def _tell(self, changes: list[Change]) -> None:
        self.told += [(self.now, change) for change in changes]

    def strike(self, kind: Kind, **fault: object) -> tuple[Change, Change]:
        """Be well for two seconds, faulty for two, and well again; return how it was told.

        Nothing else may be told, the fault within a second, its end within another.
        """
        assert self.run(2.0) == []
        began, well = self.now, {name: getattr(self, name) for name in fault}
        vars(self).update(fault)
        self.run(2.0)
        ended = self.now
        vars(self).update(well)
        self.run(2.0)
        (first, begin), (second, end) = self.told
        assert begin.fault.kind is end.fault.kind is kind
        assert began < first <= began + S
        assert ended < second <= ended + S
        assert begin.ended is None
        assert end.ended is not None
        # As the images came: to one of them, or to a look.
        assert abs(begin.fault.since - began) <= 0.28 * S
        assert abs(end.ended - ended) <= 0.28 * S
        assert self.health.faults == {}
        return begin, end


def darker(factor: float, red: float = 1.0) -> Callable[[int], bytes]:
    made = [
        to_jpeg(np.clip(scene(number) * (factor * red, factor, factor), 0, 255).astype(np.uint8))
        for number in range(20)
    ]
    return lambda number: made[number % 20]


def of(pixels: Array) -> Callable[[int], bytes]:
    jpeg = to_jpeg(pixels)
    return lambda _: jpeg


@pytest.mark.parametrize('name', ['wrist', 'overhead'])
@pytest.mark.parametrize('speed', [0.0, 0.5])
def test_nothing_is_wrong_with_a_sound_stream(name: str, speed: float) -> None:
    stream = Stream(name, speed)
    assert stream.run(10.0) == []
    assert abs(stream.health.rate.hz - 30) < 0.5
    assert stream.health.rate.jitter < 0.002
    assert stream.health.age == LATENCY


def test_silence_is_told_and_its_beginning_is_the_last_image() -> None:
    begin, end = Stream().strike(Kind.SILENT, comes=lambda _: False)
    assert begin.fault.text == 'no image of the overhead camera for 0.6 s'
    assert 'plugged in' in str(begin.fault)
    assert 2.0 <= (end.ended - begin.fault.since) / S < 2.1


def test_a_camera_that_never_comes_is_silent() -> None:
    stream = Stream()
    stream.comes = lambda _: False
    (change,) = stream.run(2.0)
    assert change.fault.kind is Kind.SILENT
    assert change.fault.since == 0


def test_half_the_rate_is_slow_since_its_beginning_and_told_as_such() -> None:
    begin, end = Stream().strike(Kind.SLOW, comes=lambda number: number % 2 == 0)
    assert begin.fault.text == 'the overhead camera gives 15 images a second, expected 30'
    assert abs(end.ended - begin.fault.since - 2 * S) < 0.1 * S


def test_black_is_told_with_its_brightness() -> None:
    begin, _ = Stream().strike(Kind.BLACK, jpeg=of(np.zeros((480, 640, 3), np.uint8)))
    assert begin.fault.text == 'the overhead picture is black: brightness 0 of 255'


def test_white_is_told_and_is_neither_overexposed_nor_frozen_as_well() -> None:
    white = of(np.full((480, 640, 3), 255, np.uint8))
    begin, _ = Stream(speed=0.5).strike(Kind.WHITE, jpeg=white)
    assert begin.fault.text == 'the overhead picture is white: 100 % of it burnt out'


def test_a_picture_that_is_burnt_out_more_than_at_the_start_is_overexposed() -> None:
    pixels = scene(0)
    pixels[:160] = 255
    begin, _ = Stream().strike(Kind.OVEREXPOSED, jpeg=of(pixels))
    assert begin.fault.text == '33 % of the overhead picture is burnt out'


def test_a_table_that_was_white_at_the_start_is_not_overexposed() -> None:
    stream = Stream()
    pixels = scene(0)
    pixels[:300] = 255
    stream.jpeg = of(pixels)
    assert stream.run(4.0) == []
    pixels[:330] = 255
    stream.jpeg = of(pixels)
    assert stream.run(4.0) == []


def test_what_cannot_be_decoded_is_told() -> None:
    begin, _ = Stream().strike(Kind.UNREADABLE, jpeg=lambda number: b'%d' % number)
    assert begin.fault.text == 'the overhead image cannot be decoded'


def test_another_size_is_told_with_both() -> None:
    begin, _ = Stream().strike(Kind.SIZE, jpeg=of(scene(0)[::2, ::2]))
    assert begin.fault.text == 'the overhead images are 320x240, expected 640x480'


@pytest.mark.parametrize('name', ['wrist', 'overhead'])
def test_a_picture_that_stands_still_while_the_arm_moves_is_frozen(name: str) -> None:
    begin, end = Stream(name, speed=0.5).strike(Kind.FROZEN, jpeg=lambda _: SCENES[0])
    assert begin.fault.text == f'the {name} picture stands still while the arm moves'
    assert 1.9 <= (end.ended - begin.fault.since) / S < 2.1


def test_a_scene_at_rest_is_not_frozen() -> None:
    stream = Stream()
    stream.jpeg = lambda _: SCENES[0]
    assert stream.run(10.0) == []


def test_an_old_picture_need_not_show_where_the_arm_is_now() -> None:
    """Of a stall of half a second there come, afterwards, the images of a scene at rest."""
    stream = Stream(speed=0.0)
    stream.jpeg = lambda _: SCENES[0]
    assert stream.run(2.0) == []
    stream.speed, stream.comes, stalled = 0.5, lambda _: False, stream.now
    stream.run(0.55)
    stream.comes, stream.stamp = lambda _: True, lambda _: stalled + stream.number * MS
    changes = stream.run(0.25)
    assert {change.fault.kind for change in changes} == {Kind.SILENT}


def test_stamps_that_stand_still_are_frozen() -> None:
    begin, _ = Stream().strike(Kind.FROZEN, stamp=lambda _: 2 * S)
    assert begin.fault.text == 'the stamps of the overhead images stand still'


def test_images_that_come_late_are_told_with_their_age() -> None:
    begin, _ = Stream().strike(Kind.LATE, stamp=lambda now: now - 333 * MS)
    assert 'arrive 0.33 s after they were captured' in begin.fault.text


def test_stamps_in_the_future_are_told() -> None:
    begin, _ = Stream().strike(Kind.STAMPS, stamp=lambda now: now + 90 * MS)
    assert begin.fault.text == 'the stamps of the overhead images are 0.09 s in the future'


def test_stamps_that_run_backwards_are_told_and_a_clock_that_was_set_is_not() -> None:
    stream = Stream()
    assert stream.run(1.0) == []
    stream.stamp = lambda now: now - LATENCY - 20 * MS * (now // PERIOD % 2) * 2
    (change,) = stream.run(1.0)
    assert change.fault.text == 'the stamps of the overhead images run backwards'
    stream.stamp = lambda now: now - LATENCY
    (change,) = stream.run(2.0)
    assert change.ended is not None
    assert abs(change.ended - 2 * S) < 0.1 * S
    stream.stamp = lambda now: now - LATENCY - 50 * MS
    assert stream.run(3.0) == []


@pytest.mark.parametrize('factor', [0.7, 1.4])
def test_an_exposure_that_drifts_is_told(factor: float) -> None:
    begin, _ = Stream().strike(Kind.DRIFT, jpeg=darker(factor))
    assert f'is {factor:.2f} times as bright as at the start' in begin.fault.text


def test_a_white_balance_that_drifts_is_told_by_its_colour() -> None:
    begin, _ = Stream().strike(Kind.COLOUR, jpeg=darker(1.0, red=1.25))
    assert 'the red of the overhead picture is 1.25 times that of the start' in begin.fault.text


@pytest.mark.parametrize('level', [20, 235])
def test_an_arm_or_a_hand_that_enters_the_view_is_no_drift(level: int) -> None:
    stream = Stream()
    stream.run(2.0)
    pixels = scene(0)
    pixels[:, :256] = level  # 40 % of it
    stream.jpeg = of(pixels)
    assert stream.run(3.0) == []


def test_a_camera_on_the_arm_is_compared_where_the_arm_rests_as_before() -> None:
    stream = Stream('wrist')
    assert stream.run(3.0) == []
    stream.speed, stream.jpeg = 1.0, darker(0.6)  # it sees something else
    assert stream.run(1.0) == []
    stream.speed = 0.0
    assert stream.run(2.0) == []
    stream.speed = -1.0
    stream.run(1.0)
    stream.speed = 0.0
    (change,) = stream.run(1.0)
    assert change.fault.kind is Kind.DRIFT


def test_one_image_that_comes_late_or_not_at_all_is_no_fault() -> None:
    stream = Stream()
    stream.comes = lambda number: number % 30 > 8  # a pause of 0.3 s each second
    assert stream.run(5.0) == []
    assert 19 < stream.health.rate.hz < 30


def test_a_first_image_is_waited_for_as_long_as_is_said() -> None:
    patient = ImageHealth('overhead', Poses(), 0, patience=10 * S)
    assert patient.look(10 * S) == []
    assert not patient.begun
    (change,) = patient.look(10 * S + MS)
    assert (change.fault.kind, change.fault.since) == (Kind.SILENT, 0)
    patient.image(11 * S, 11 * S, Compressed(SCENES[0]))
    (change,) = patient.look(11 * S + 501 * MS)  # one that has begun is not
    assert (change.fault.kind, change.fault.since) == (Kind.SILENT, 11 * S)


@given(seed=st.integers(0, 2**32), busy=st.integers(1, 100))
@settings(max_examples=25)
def test_realistic_jitter_raises_no_alarm(seed: int, busy: int) -> None:
    """Exposure and USB shift a capture by milliseconds, a busy machine holds up arrivals."""
    random = np.random.default_rng(seed)
    health = ImageHealth('overhead', Poses(), 0)
    arrived = 0
    for number in range(600):
        captured = number * PERIOD + round(random.normal(0, 3 * MS))
        held_up = random.random() < busy / 1000
        latency = round(random.uniform(20, 60) * MS + held_up * random.uniform(0, 250) * MS)
        arrived = max(arrived, captured + latency)
        if random.random() < 0.03:
            continue  # lost
        picture = Compressed(SCENES[number % 20] if number % 8 == 0 else b'%d' % number)
        if arrived - health._looked >= 250 * MS:
            picture = Compressed(SCENES[number % 20])
        assert health.image(arrived, captured, picture) == []
        assert health.look(arrived + PERIOD) == []


@given(part=st.floats(0.1, 0.62), seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_any_rate_at_or_below_half_is_told_within_a_second(part: float, seed: int) -> None:
    """Told as slow or, where there are but two or three images a second, as silent."""
    random = np.random.default_rng(seed)
    health = ImageHealth('overhead', Poses(), 0)
    number, now = 0, 0
    for number in range(60):
        now = number * PERIOD + round(random.normal(0, 3 * MS))
        assert health.image(now, now - LATENCY, Compressed(SCENES[number % 20])) == []
    part = min(part, 0.5)
    began, told = now, []
    while not told and now < began + 2 * S:
        number += 1
        due = began + round((number - 59) * PERIOD / part + random.normal(0, 3 * MS))
        while not told and now + 100 * MS < due:
            now += 100 * MS
            told = health.look(now)
        if not told:
            now = due
            told = health.image(now, now - LATENCY, Compressed(SCENES[number % 20]))
    (change,) = told
    assert change.fault.kind in (Kind.SLOW, Kind.SILENT)
    assert now - began <= S
    assert abs(change.fault.since - began) <= 0.1 * S
