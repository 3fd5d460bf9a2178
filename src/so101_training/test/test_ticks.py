"""Which samples a tick takes: those that the live policy would, none later, all accounted for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from so101_description.units import radians_to_dataset
from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import images_of
from so101_episodes.series import Series
from so101_node.error import UserError
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, JOINT_STATES
from so101_policy.features import ACTION, STATE, image_feature, pixels
from so101_policy.observation import Latest
from so101_training.conversion.streams import Streams, read, rising
from so101_training.conversion.ticks import DROPPED, INTERPOLATED, LATE, REPEATED, Ticks, ticks

START = 1_700_000_000_000_000_000
PERIOD = 1e9 / 30
MS = 1_000_000


def series(times: NDArray[np.int64]) -> Series:
    """Joints whose position is the time, in seconds, so that a value tells when it was taken."""
    seconds = (times - START) * 1e-9
    return Series(times, np.tile(0.1 * seconds[:, None], (1, 6)))


def stamps(count: int, period: float, first: float = 0.0) -> NDArray[np.int64]:
    return START + np.round(first + np.arange(count) * period).astype(np.int64)


def streams(
    wrist: NDArray[np.int64] | None = None,
    overhead: NDArray[np.int64] | None = None,
    seconds: float = 1.0,
    sampled: bool = True,
    begin: int = 0,
) -> Streams:
    """Both cameras, and joints from `begin` nanoseconds on."""
    count = int(seconds * 30)
    joints = stamps(int(seconds * 200), 5 * MS, begin)
    return Streams(
        images={
            'wrist': stamps(count, PERIOD, 2 * MS) if wrist is None else wrist,
            'overhead': stamps(count, PERIOD, 9 * MS) if overhead is None else overhead,
        },
        states=series(joints + MS),
        actions=series(joints),
        sampled=sampled,
    )


def kinds(found: Ticks, stream: str) -> list[str]:
    return [remark.kind for remark in found.remarks if remark.stream == stream]


def test_a_bag_played_through_the_live_path_gives_the_same_numbers(
    tmp_path: Path, recording: Callable[..., Path]
) -> None:
    """Message by message, decoded as ROS has them, into what joins them for the policy."""
    folder = recording(tmp_path / 'bag', seconds=1.0)
    found = ticks(read(folder, CAMERAS), 30, 0.2, 0.05)
    bag = RecordedBag(folder)
    films = {camera: images_of(bag, camera) for camera in CAMERAS}
    names = {recorded.topic.name: camera for camera, recorded in films.items()}
    messages = [
        (to_nanoseconds(message.header.stamp), topic, message)
        for topic, _, message in bag.messages(*films.values(), bag.require(JOINT_STATES))
    ]
    messages.sort(key=lambda entry: entry[0])
    images = {
        camera: [message for _, topic, message in messages if names.get(topic.name) == camera]
        for camera in CAMERAS
    }
    live = Latest({camera: topic for topic, camera in names.items()}, 0.2, 0.05)
    position = 0
    for frame, time in enumerate(found.times.tolist()):
        while position < len(messages) and messages[position][0] <= time:
            stamp, topic, message = messages[position]
            if topic is JOINT_STATES:
                live.add_joints(stamp, message)
            else:
                live.add_image(names[topic.name], stamp, message)
            position += 1
        seen = live.observation(time)
        assert seen.captured == found.captured[frame]
        assert np.array_equal(seen.state, found.states[frame])
        for camera, numbers in found.images.items():
            converted = pixels(images[camera][numbers[frame]], '')
            assert np.array_equal(seen.images[camera], converted)
    assert frame > 25


def test_a_plain_recording_has_every_image_once_and_no_remark_on_them() -> None:
    found = ticks(streams(), 30, 0.2, 0.05)
    for camera, numbers in found.images.items():
        assert np.array_equal(np.diff(numbers), np.ones(len(numbers) - 1))
        assert set(kinds(found, image_feature(camera))) <= {DROPPED}  # at the ends
    assert set(kinds(found, STATE)) == {INTERPOLATED}
    assert not kinds(found, ACTION)


@given(
    st.lists(st.integers(-4 * MS, 4 * MS), min_size=30, max_size=30),
    st.integers(0, int(PERIOD)),
    st.integers(0, int(PERIOD)),
)
def test_jitter_neither_repeats_nor_drops_an_image(
    jitter: list[int], first: int, second: int
) -> None:
    """Of a camera that jitters by 4 ms, whatever the phases of the two."""
    wrist = stamps(30, PERIOD, first) + np.array(jitter)
    found = ticks(streams(wrist, stamps(30, PERIOD, second)), 30, 0.2, 0.05)
    repeated = [r for r in found.remarks if r.kind == REPEATED and 'images' in r.stream]
    # Images half a period apart may be taken in either pairing.
    apart = abs((second - first + PERIOD / 2) % PERIOD - PERIOD / 2)
    assert not repeated or apart > PERIOD / 2 - 5 * MS


@given(
    st.lists(st.integers(1, 60), min_size=20, max_size=60),
    st.lists(st.integers(1, 60), min_size=20, max_size=60),
    st.booleans(),
    st.integers(0, 300 * MS),
)
def test_nothing_is_later_than_its_tick_and_everything_is_accounted_for(
    wrist: list[int], overhead: list[int], sampled: bool, begin: int
) -> None:
    """Whatever the times between images, in ms."""
    given_images = {
        'wrist': START + np.cumsum(np.array(wrist, np.int64)) * MS,
        'overhead': START + np.cumsum(np.array(overhead, np.int64)) * MS,
    }
    seconds = 4.0
    source = streams(given_images['wrist'], given_images['overhead'], seconds, sampled, begin)
    try:
        found = ticks(source, 30, 0.2, 0.1)
    except UserError:
        return
    assert np.array_equal(np.round(np.diff(found.times) / PERIOD), np.ones(len(found.times) - 1))
    assert (found.captured <= found.times).all()
    assert np.isfinite(found.actions).all() and np.isfinite(found.states).all()
    told = found.actions[:, 0] / radians_to_dataset(np.full(6, 0.1))[0]
    acted = told * 1e9 + START
    assert (acted <= found.captured + 300).all()  # the value tells when it was taken
    assert (found.captured - acted <= 5 * MS + 300).all()
    measured = found.states[:, 0] / radians_to_dataset(np.full(6, 0.1))[0]
    # Interpolated, or the newest when the next one was measured after the tick.
    behind = found.captured - (measured * 1e9 + START)
    assert (behind > -300).all() and (behind < 5 * MS + 300).all()
    interpolated = {r.frame for r in found.remarks if r[1:3] == (STATE, INTERPOLATED)}
    assert all(abs(behind[frame]) < 300 for frame in interpolated)
    for camera, numbers in found.images.items():
        times = given_images[camera][numbers]
        assert (times <= found.times).all() and (np.diff(numbers) >= 0).all()
        mine = [r for r in found.remarks if r.stream == image_feature(camera)]
        dropped = {r.stamp for r in mine if r.kind == DROPPED}
        assert dropped | set(times.tolist()) == set(given_images[camera].tolist())
        assert not dropped & set(times.tolist())
        assert {r.frame for r in mine if r.kind == REPEATED} == set(
            (np.flatnonzero(np.diff(numbers) == 0) + 1).tolist()
        )
        assert {r.frame for r in mine if r.kind == LATE} == set(
            np.flatnonzero(found.times - times > PERIOD).tolist()
        )


def test_a_camera_at_half_rate_repeats_every_other_image() -> None:
    found = ticks(streams(wrist=stamps(15, 2 * PERIOD)), 30, 0.2, 0.05)
    repeated = [r.frame for r in found.remarks if r[1:3] == (image_feature('wrist'), REPEATED)]
    assert len(repeated) == pytest.approx(len(found.times) / 2, abs=1)


def test_a_silent_camera_is_refused_with_its_name_and_time() -> None:
    wrist = stamps(30, PERIOD)
    wrist = wrist[(wrist < START + 300 * MS) | (wrist > START + 600 * MS)]
    with pytest.raises(UserError, match=r'newest wrist image was 0\.2\d s old.*--max-age'):
        ticks(streams(wrist=wrist), 30, 0.2, 0.05)
    assert len(ticks(streams(wrist=wrist), 30, 0.5, 0.5).times) > 25


def test_an_old_action_is_refused() -> None:
    source = streams()
    few = source.actions.times[::60]
    slow = Streams(source.images, source.states, series(few), sampled=True)
    with pytest.raises(UserError, match=r'newest action is 0\.2'):
        ticks(slow, 30, 0.2, 0.05)
    found = ticks(slow, 30, 0.5, 0.05)
    assert {REPEATED, LATE} == set(kinds(found, ACTION))


@pytest.mark.parametrize('sampled', [True, False], ids=['reference', 'trajectories'])
@pytest.mark.parametrize('begin', range(0, 40, 3))
def test_no_frame_is_of_a_time_before_the_first_action(begin: int, sampled: bool) -> None:
    source = streams(sampled=sampled, begin=100 * MS + begin * MS)
    late = Streams(source.images, series(stamps(400, 5 * MS)), source.actions, sampled)
    found = ticks(late, 30, 0.2, 0.05)
    assert found.captured[0] >= source.actions.times[0]
    assert found.captured[0] < source.actions.times[0] + 2 * PERIOD
    assert np.isfinite(found.actions).all()


@pytest.mark.parametrize('rate', [60, 90, 120])
@pytest.mark.parametrize('first', range(0, 17, 4))
def test_a_faster_camera_alone_gives_its_images_evenly(rate: int, first: int) -> None:
    numbers = np.random.default_rng(first)
    count = 2 * rate
    wrist = stamps(count, 1e9 / rate, first * MS) + numbers.integers(-MS, MS, count)
    both = streams(seconds=2.0)
    found = ticks(Streams({'wrist': wrist}, both.states, both.actions, True), 30, 0.2, 0.05)
    assert set(np.diff(found.images['wrist']).tolist()) == {rate // 30}


def test_overtaken_images_are_dropped() -> None:
    wrist = stamps(30, PERIOD)
    wrist[[10, 11]] = wrist[[11, 10]]
    found = ticks(streams(wrist=wrist), 30, 0.2, 0.05)
    (late,) = [r for r in found.remarks if r.reason == 'it came after a newer one, or again']
    assert late.stamp == wrist[11]


def test_streams_that_never_meet_are_refused() -> None:
    with pytest.raises(UserError, match='at the same time for 0'):
        ticks(streams(wrist=stamps(30, PERIOD) + 2_000_000_000), 30, 0.2, 0.05)


@given(st.lists(st.integers(0, 50), max_size=50))
def test_rising_keeps_what_exceeds_all_before(values: list[int]) -> None:
    kept = rising(np.array(values, np.int64)).tolist()
    assert kept == [all(v > before for before in values[:i]) for i, v in enumerate(values)]
