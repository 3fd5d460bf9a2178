"""Only what is fresh and whole becomes an observation."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from so101_description.joints import HOME, JOINTS
from so101_node.error import UserError
from so101_policy.observation import Latest

TOPICS = {'wrist': 'wrist_camera/color/image_raw', 'overhead': 'overhead_camera/image_raw'}
NOW = 1_700_000_000_000_000_000
MS = 1_000_000


def image(value: int = 0, width: int = 640, encoding: str = 'rgb8') -> Any:
    pixels = np.full((480, width, 3), value, np.uint8)
    return SimpleNamespace(
        height=480, width=width, step=3 * width, encoding=encoding, data=pixels.tobytes()
    )


def complete() -> Latest:
    latest = Latest(TOPICS, max_age=0.5)
    latest.add_image('wrist', NOW - 20 * MS, image(1))
    latest.add_image('overhead', NOW - 10 * MS, image(2))
    latest.add_joints(NOW - 5 * MS, JOINTS, HOME)
    return latest


def test_the_observation_is_stamped_with_its_newest_image() -> None:
    latest = complete()
    observation = latest.observation(NOW)
    assert observation.captured == NOW - 10 * MS
    assert latest.captured() == NOW - 20 * MS
    assert (observation.images['wrist'] == 1).all()
    assert (observation.images['overhead'] == 2).all()
    assert observation.state[5] == pytest.approx(5)


def test_a_camera_that_never_delivered_is_named_with_its_topic() -> None:
    latest = Latest(TOPICS, max_age=0.5)
    latest.add_image('wrist', NOW, image())
    latest.add_joints(NOW, JOINTS, HOME)
    assert latest.captured() is None
    with pytest.raises(UserError, match=r'overhead camera \(overhead_camera/image_raw\)'):
        latest.observation(NOW)


@pytest.mark.parametrize('seconds', [0.6, -2.0])
def test_an_old_image_and_one_from_the_future_are_refused(seconds: float) -> None:
    latest = complete()
    latest.add_image('wrist', NOW - round(seconds * 1e9), image())
    with pytest.raises(UserError, match=rf'wrist image is {seconds:.2f} s old, the limit is 0.5'):
        latest.observation(NOW)


def test_an_old_joint_state_is_refused() -> None:
    latest = complete()
    latest.add_joints(NOW - 600 * MS, JOINTS, HOME)
    with pytest.raises(UserError, match=r'joint state is 0\.60 s old'):
        latest.observation(NOW)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [(image(width=320), 'expected \\(480, 640, 3\\)'), (image(encoding='16UC1'), "'16UC1'")],
)
def test_an_image_of_another_kind_is_refused(wrong: Any, message: str) -> None:
    latest = complete()
    latest.add_image('wrist', NOW, wrong)
    with pytest.raises(UserError, match=f'wrist_camera/color/image_raw: .*{message}'):
        latest.observation(NOW)
