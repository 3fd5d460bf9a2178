"""Topics become LeRobot features by name, in dataset units."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_cameras.image import to_jpeg
from so101_description.joints import HOME, JOINTS
from so101_description.units import dataset_to_radians
from so101_node.error import UserError
from so101_policy.features import (
    JOINT_NAMES,
    STATE,
    image_feature,
    joint_state,
    pixels,
    robot_names,
)

TOPIC = 'wrist_camera/color/image_raw'


def image(encoding: str, *colour: int, width: int = 640) -> Any:
    data = np.full((480, width, len(colour)), colour, np.uint8)
    step = width * len(colour)
    return SimpleNamespace(
        height=480, width=width, step=step, encoding=encoding, data=data.tobytes()
    )


def test_features_are_named_as_lerobot_names_them() -> None:
    assert image_feature('wrist') == 'observation.images.wrist'
    assert JOINT_NAMES[0] == 'shoulder_pan.pos'
    assert len(JOINT_NAMES) == len(JOINTS)


def test_a_policys_own_camera_names_become_the_robots() -> None:
    renames = {image_feature('wrist'): image_feature('camera1')}
    assert robot_names([image_feature('camera1'), STATE], renames) == {
        image_feature('camera1'): image_feature('wrist'),
        STATE: STATE,
    }


@pytest.mark.parametrize(
    ('names', 'renames'),
    [(['c'], {'a': 'c', 'b': 'c'}), (['a', 'c'], {'a': 'c'})],
)
def test_renames_that_make_two_features_one_are_refused(
    names: list[str], renames: dict[str, str]
) -> None:
    with pytest.raises(UserError, match='makes two features one'):
        robot_names(names, renames)


def test_joints_are_found_by_name_in_any_order_and_converted() -> None:
    names = ['extra', *reversed(JOINTS)]
    state = joint_state(names, [9.0, *reversed(HOME)])
    assert state == pytest.approx([0, -104.66, 96.09, 48.92, 90, 5])


@given(
    st.permutations(range(6)),
    st.lists(st.floats(-3.2, 3.2), min_size=6, max_size=6),
)
def test_an_action_in_radians_is_the_state_it_came_from(
    order: list[int], radians: list[float]
) -> None:
    state = joint_state([JOINTS[i] for i in order], [radians[i] for i in order])
    assert dataset_to_radians(state) == pytest.approx(radians, abs=1e-12)


@pytest.mark.parametrize(
    ('names', 'positions', 'message'),
    [
        (JOINTS[:5], [0.0] * 5, 'lacks gripper; it has shoulder_pan'),
        ((), [], 'it has no joint'),
        (JOINTS, [0.0] * 5, '5 positions for 6 joints'),
        ((*JOINTS, 'gripper'), [0.0] * 7, 'name each joint once'),
        (JOINTS, [0, 0, math.nan, 0, 0, 0], 'not finite'),
        (JOINTS, [0, 0, 0, 0, 0, -math.inf], 'not finite'),
    ],
)
def test_a_joint_state_that_is_not_the_robots_is_refused(
    names: tuple[str, ...], positions: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        joint_state(names, positions)


@pytest.mark.parametrize(
    ('message', 'colour'),
    [
        (image('rgb8', 200, 100, 50), [200, 100, 50]),
        (image('bgr8', 50, 100, 200), [200, 100, 50]),
        (image('mono8', 100), [100, 100, 100]),
    ],
)
def test_every_encoding_becomes_rgb8(message: Any, colour: list[int]) -> None:
    assert (pixels(message, TOPIC) == colour).all()


def test_a_compressed_image_becomes_rgb8() -> None:
    data = to_jpeg(np.full((480, 640, 3), (200, 100, 50), np.uint8))
    found = pixels(SimpleNamespace(format='jpeg', data=data), TOPIC)
    assert np.abs(found.astype(int) - [200, 100, 50]).max() < 5


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (image('rgb8', 0, 0, 0, width=320), r'expected \(480, 640, 3\)'),
        (image('16UC1', 0, 0), "'16UC1'"),
        (SimpleNamespace(format='jpeg', data=b'nothing'), 'not a JPEG'),
    ],
)
def test_an_image_of_another_kind_is_refused_with_its_topic(wrong: Any, message: str) -> None:
    with pytest.raises(UserError, match=f'{TOPIC}: .*{message}'):
        pixels(wrong, TOPIC)
