"""How smooth a motion is, above all where chunks change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_evaluation.smoothness import smoothness


def test_a_straight_motion_has_neither_jump_nor_jerk() -> None:
    references = np.linspace(0, 1, 60)[:, None] * [1, -1, 0.5, 0, 0, 2]
    jump, jerk = smoothness(references, [0, 20, 40])
    assert jump == pytest.approx(0, abs=1e-9)
    assert jerk == pytest.approx(0, abs=1e-9)


def test_a_step_is_a_jump_of_its_size_if_a_chunk_changed_near_it() -> None:
    references = np.zeros((100, 6))
    references[50:, [0, 5]] = np.deg2rad([3, 4])
    for tick in (41, 50, 58):
        assert smoothness(references, [0, tick])[0] == pytest.approx(5)
    for tick in (38, 62):
        assert smoothness(references, [0, tick])[0] == 0
    # Third differences 1, -2, 1 of the step, of 97.
    assert smoothness(references, [])[1] == pytest.approx(5 * np.sqrt(6 / 97))


def test_the_first_chunk_is_no_change_nor_is_one_after_the_last_tick() -> None:
    references = np.zeros((50, 6))
    references[20:] = 1.0
    assert smoothness(references, [20])[0] is None
    assert smoothness(references, [])[0] is None
    assert smoothness(references, [0, 49])[0] is None


def test_jumps_are_averaged() -> None:
    references = np.zeros((100, 6))
    references[20:, 1] = np.deg2rad(2)
    assert smoothness(references, [0, 20, 70])[0] == pytest.approx(1)


@given(count=st.integers(1, 6))
def test_a_rollout_of_some_ticks_is_measured_too(count: int) -> None:
    jump, jerk = smoothness(np.zeros((count, 6)), [0, 1])
    assert jump in (None, 0)
    assert jerk == 0
