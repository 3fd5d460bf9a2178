"""Topics become LeRobot features by name, in dataset units."""

import math

import numpy as np
import pytest

from so101_description.joints import HOME, JOINTS
from so101_node.error import UserError
from so101_policy.features import image_feature, joint_state


def test_a_camera_is_an_image_feature() -> None:
    assert image_feature('wrist') == 'observation.images.wrist'


def test_joints_are_found_by_name_in_any_order_and_converted() -> None:
    names = ['extra', *reversed(JOINTS)]
    state = joint_state(names, [9.0, *reversed(HOME)])
    assert state == pytest.approx([0, -104.66, 96.09, 48.92, 90, 5])


def test_a_missing_joint_is_named() -> None:
    with pytest.raises(UserError, match='lacks gripper; it has shoulder_pan'):
        joint_state(JOINTS[:5], np.zeros(5))


def test_a_position_that_is_not_finite_is_refused() -> None:
    with pytest.raises(UserError, match='not finite'):
        joint_state(JOINTS, [0, 0, math.nan, 0, 0, 0])
