"""Joints are found by name, and what is not the robot's is refused."""

import math

import pytest

from so101_description.joints import HOME, JOINTS
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions


def test_joints_are_found_by_name_in_any_order() -> None:
    names = ['extra', *reversed(JOINTS)]
    assert joint_positions(names, [9.0, *reversed(HOME)]).tolist() == HOME.tolist()


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
        joint_positions(names, positions)
