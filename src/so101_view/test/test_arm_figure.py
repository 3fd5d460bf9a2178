"""Joint angles become values for a person, and lines where the links are."""

import numpy as np
import pytest

from so101_description.joints import HOME
from so101_description.kinematics import gripper_frame
from so101_view.arm_figure import figure, robot


def test_the_figure_has_values_for_a_person_and_ends_at_the_gripper() -> None:
    found = figure(HOME)
    assert found['values'] == pytest.approx([0, -104.66, 96.09, 48.92, 90, 5])
    assert found['arm'][0] == [0, 0, 0]
    assert found['arm'][-1] == pytest.approx(gripper_frame(HOME)[:3, 3], abs=1e-4)


def test_an_open_jaw_is_further_from_the_other_finger() -> None:
    gaps = []
    for percent in (0.0, 0.5, 1.2):
        found = figure(np.array([0, 0, 0, 0, 0, percent]))
        gaps.append(np.linalg.norm(np.subtract(found['jaw'][-1], found['arm'][-1])))
    assert gaps == sorted(gaps)
    assert gaps[-1] - gaps[0] > 0.03


def test_limits_are_in_the_same_units() -> None:
    assert robot(['wrist'])['low'][-1] == 0
    assert robot(['wrist'])['high'][-1] == 100
    assert robot(['wrist'])['high'][0] == pytest.approx(110, abs=0.1)
