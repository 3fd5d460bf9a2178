"""Dataset units and radians agree with LeRobot's definition and undo each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so101_description.joints import HOME, JOINTS, URDF_LIMITS
from so101_description.units import dataset_to_radians, radians_to_dataset


def test_arm_joints_are_degrees_and_the_gripper_is_a_percentage_of_its_range() -> None:
    radians = dataset_to_radians([90, -45, 0, 10, 180, 50])
    assert radians[:5] == pytest.approx(np.deg2rad([90, -45, 0, 10, 180]))
    assert radians[5] == pytest.approx(sum(URDF_LIMITS['gripper']) / 2)


def test_home_is_the_documented_pose() -> None:
    assert radians_to_dataset(HOME) == pytest.approx([0, -104.66, 96.09, 48.92, 90, 5])


@given(hnp.arrays(float, (3, 6), elements=st.floats(-360, 360)))
def test_there_and_back(values: np.ndarray) -> None:
    assert radians_to_dataset(dataset_to_radians(values)) == pytest.approx(values, abs=1e-9)


def test_a_wrong_joint_count_is_refused() -> None:
    with pytest.raises(ValueError, match='6 joints'):
        dataset_to_radians([1.0, 2.0])


def test_limits_cover_every_joint_in_order() -> None:
    assert tuple(URDF_LIMITS) == JOINTS
    assert all(low < high < math.pi for low, high in URDF_LIMITS.values())
