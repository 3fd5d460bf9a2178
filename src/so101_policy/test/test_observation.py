"""Only what is fresh, whole and of one capture time becomes an observation."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import HOME, JOINTS
from so101_description.units import dataset_to_radians
from so101_node.error import UserError
from so101_policy.observation import Latest

TOPICS = {'wrist': 'wrist_camera/color/image_raw', 'overhead': 'overhead_camera/image_raw'}
NOW = 1_700_000_000_000_000_000
MS = 1_000_000


def image(value: int = 0, width: int = 640, encoding: str = 'rgb8') -> Any:
    data = bytes([value]) * (480 * width * 3)
    return SimpleNamespace(height=480, width=width, step=3 * width, encoding=encoding, data=data)


def joints(positions: Any = HOME) -> Any:
    return SimpleNamespace(name=JOINTS, position=positions)


def empty() -> Latest:
    return Latest(TOPICS, max_age=0.5, max_skew=0.05)


def complete() -> Latest:
    latest = empty()
    latest.add_image('wrist', NOW - 20 * MS, image(1))
    latest.add_image('overhead', NOW - 10 * MS, image(2))
    latest.add_joints(NOW - 5 * MS, joints())
    return latest


def test_an_observation_has_the_time_in_the_middle_of_its_images() -> None:
    latest = complete()
    observation = latest.observation(NOW)
    assert observation.captured == latest.captured() == NOW - 15 * MS
    assert (observation.images['wrist'] == 1).all()
    assert (observation.images['overhead'] == 2).all()
    assert observation.state[5] == pytest.approx(5)
    assert latest.complaint(NOW) is None


def test_a_single_camera_gives_the_time_of_its_images() -> None:
    latest = Latest({'wrist': TOPICS['wrist']}, max_age=0.5, max_skew=0.05)
    assert 'overhead' not in ' '.join(latest.missing())
    latest.add_image('wrist', NOW - 20 * MS, image(1))
    latest.add_joints(NOW - 5 * MS, joints())
    observation = latest.observation(NOW)
    assert list(observation.images) == ['wrist']
    assert observation.captured == NOW - 20 * MS


def test_the_image_nearest_to_the_slower_cameras_newest_is_taken() -> None:
    latest = complete()
    for value, ago in ((3, 5), (4, 0)):
        latest.add_image('overhead', NOW - ago * MS, image(value))
    latest.add_image('wrist', NOW - 6 * MS, image(5))
    observation = latest.observation(NOW)
    assert (observation.images['wrist'] == 5).all()
    assert (observation.images['overhead'] == 3).all()
    assert observation.captured == NOW - 5 * MS - MS // 2


@given(st.integers(0, 33), st.lists(st.integers(-8, 8), min_size=40, max_size=40))
def test_the_time_of_free_running_cameras_only_rises_and_halves_their_spread(
    phase: int, jitter: list[int]
) -> None:
    stamps = [
        ((i // 2) * 33 + (phase if i % 2 else 0) + wobble, ('wrist', 'overhead')[i % 2])
        for i, wobble in enumerate(jitter)
    ]
    latest = empty()
    for ms in range(-100, 1000, 5):
        latest.add_joints(NOW + ms * MS, joints())
    before = 0
    newest: dict[str, int] = {}
    for ms, camera in sorted(stamps):
        latest.add_image(camera, NOW + ms * MS, None)
        newest[camera] = NOW + ms * MS
        captured = latest.captured()
        if ms > 100:  # by then there are images on both sides of the anchor
            assert captured is not None
            # A period and the jitter of both its ends, halved by the choice, and by the middle.
            assert abs(captured - min(newest.values())) <= (33 + 2 * 8) * MS / 4
        if captured is not None:
            assert captured >= before
            before = captured


@given(
    st.integers(1, 100),
    st.floats(0, 1),
    *[st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6)] * 2,
)
def test_the_joint_state_is_interpolated_to_the_time(
    gap: int, share: float, start: list[float], end: list[float]
) -> None:
    latest = empty()
    first = NOW - 200 * MS
    last = first + gap * MS
    time = first + round(share * gap * MS)
    latest.add_joints(first, joints(start))
    latest.add_joints(last, joints(end))
    for camera in TOPICS:
        latest.add_image(camera, time, image())
    observation = latest.observation(NOW)
    exact = (time - first) / (last - first)
    expected = [a + exact * (b - a) for a, b in zip(start, end, strict=True)]
    assert observation.captured == time
    assert dataset_to_radians(observation.state) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.integers(-40, 0), min_size=1, max_size=20))
def test_stamps_that_repeat_or_come_late_change_nothing(late: list[int]) -> None:
    latest = complete()
    expected = latest.captured()
    for ms in late:
        latest.add_joints(NOW + (ms - 5) * MS, joints([math.nan] * 6))
        latest.add_image('wrist', NOW + (ms - 20) * MS, image(9))
    observation = latest.observation(NOW)
    assert observation.captured == expected
    assert (observation.images['wrist'] == 1).all()
    assert np.isfinite(observation.state).all()


@pytest.mark.parametrize('back', [600, 3_600_000])
def test_a_clock_that_was_set_back_is_followed(back: int) -> None:
    latest = complete()
    now = NOW - back * MS
    for camera in TOPICS:
        latest.add_image(camera, now, image(7))
    latest.add_joints(now, joints())
    observation = latest.observation(now)
    assert observation.captured == now
    assert (observation.images['wrist'] == 7).all()


def test_a_joint_state_a_little_before_the_images_is_held_and_one_long_before_is_not() -> None:
    latest = complete()
    for camera in TOPICS:
        latest.add_image(camera, NOW + 45 * MS, image())
    assert latest.observation(NOW + 50 * MS).state[5] == pytest.approx(5)
    for camera in TOPICS:
        latest.add_image(camera, NOW + 46 * MS, image())
    with pytest.raises(
        UserError, match=r'is 0\.051 s away, the limit is 0\.05 s; .* joint_states'
    ):
        latest.observation(NOW + 50 * MS)
    assert latest.captured() is None


def test_cameras_too_far_apart_are_not_used_until_they_are_near_again() -> None:
    latest = complete()
    for ms in range(7):
        latest.add_image('overhead', NOW + (100 + ms) * MS, image())
    latest.add_joints(NOW + 100 * MS, joints())
    assert latest.captured() is not None
    latest.add_image('overhead', NOW + 107 * MS, image())  # the last one that was near is gone
    assert latest.captured() is None
    with pytest.raises(UserError, match=r'wrist image is 0\.120 s older than the overhead image'):
        latest.observation(NOW + 110 * MS)
    latest.add_image('wrist', NOW + 90 * MS, image())
    assert latest.observation(NOW + 110 * MS).captured == NOW + 95 * MS


def test_what_never_arrived_is_named_with_its_topic() -> None:
    latest = empty()
    latest.add_image('wrist', NOW, image())
    assert latest.captured() is None
    assert latest.pose() is None
    with pytest.raises(
        UserError, match=r'overhead camera \(overhead_camera/image_raw\) and joint states'
    ):
        latest.observation(NOW)


@pytest.mark.parametrize('seconds', [0.6, -2.0])
def test_an_old_image_and_one_from_the_future_are_refused(seconds: float) -> None:
    latest = complete()
    stamp = NOW - round(seconds * 1e9)
    for camera in TOPICS:
        latest.add_image(camera, stamp, image())
    with pytest.raises(UserError, match=rf'wrist image is {seconds:.2f} s old, the limit is 0.5'):
        latest.observation(NOW)


def test_a_camera_that_repeats_its_stamp_grows_old() -> None:
    latest = complete()
    latest.add_image('wrist', NOW - 20 * MS, image())
    for ms in range(0, 600, 30):
        latest.add_image('overhead', NOW + ms * MS, image())
        latest.add_image('wrist', NOW - 20 * MS, image())
    complaint = latest.complaint(NOW + 590 * MS)
    assert complaint is not None
    assert complaint.startswith('the wrist image is 0.61 s old')


def test_an_old_joint_state_is_refused() -> None:
    latest = complete()
    latest.add_joints(NOW - 600 * MS, joints())
    with pytest.raises(UserError, match=r'joint state is 0\.60 s old'):
        latest.observation(NOW)


def test_the_pose_is_the_newest_joint_state_in_radians() -> None:
    latest = complete()
    latest.add_joints(NOW, joints(HOME + 0.1))
    assert latest.pose() == pytest.approx(HOME + 0.1)
    latest.add_joints(NOW + MS, joints([math.nan] * 6))
    assert latest.pose() is None


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [(image(width=320), r'expected \(480, 640, 3\)'), (image(encoding='16UC1'), "'16UC1'")],
)
def test_an_image_of_another_kind_is_complained_of_until_it_is_right(
    wrong: Any, message: str
) -> None:
    latest = complete()
    latest.add_image('wrist', NOW - 9 * MS, wrong)
    with pytest.raises(UserError, match=f'wrist_camera/color/image_raw: .*{message}'):
        latest.observation(NOW)
    assert 'wrist_camera/color/image_raw' in (latest.complaint(NOW) or '')
    for camera in TOPICS:
        latest.add_image(camera, NOW, image())
    assert latest.complaint(NOW) is None


def test_a_joint_state_that_is_not_finite_is_complained_of_until_it_is_right() -> None:
    latest = complete()
    latest.add_joints(NOW - 4 * MS, joints([math.nan] * 6))
    for camera in TOPICS:
        latest.add_image(camera, NOW - 4 * MS, image())
    assert 'not finite' in (latest.complaint(NOW) or '')
    latest.add_joints(NOW - 2 * MS, joints())
    for camera in TOPICS:
        latest.add_image(camera, NOW - 2 * MS, image())
    assert latest.complaint(NOW) is None
