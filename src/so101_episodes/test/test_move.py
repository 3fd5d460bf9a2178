"""A move keeps its limits, goes straight and ends exactly at the goal, at rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so101_episodes.move import ACCELERATION, JERK, STEP, VELOCITY, plan

poses = hnp.arrays(float, 6, elements=st.floats(-3, 3))


@given(poses, poses)
def test_a_move_ends_at_the_goal_at_rest(start: np.ndarray, goal: np.ndarray) -> None:
    move = plan(start, goal)
    assert (move.positions[-1] == goal).all()
    assert (move.velocities[-1] == 0).all()


@given(poses, poses)
def test_times_rise_and_points_are_at_most_a_step_and_a_half_apart(
    start: np.ndarray, goal: np.ndarray
) -> None:
    gaps = np.diff(plan(start, goal).times, prepend=0)
    assert (gaps > 0).all()
    assert (gaps <= 1.5 * STEP + 1e-9).all()


@given(poses, poses)
def test_velocity_acceleration_and_jerk_stay_within_their_limits(
    start: np.ndarray, goal: np.ndarray
) -> None:
    move = plan(start, goal, step=0.01)
    even = slice(None, -1)  # the last interval is of another length
    velocities = np.vstack([np.zeros(6), move.velocities[even]])
    accelerations = np.diff(velocities, axis=0) / 0.01
    assert np.abs(velocities).max(initial=0) <= VELOCITY + 1e-6
    assert np.abs(accelerations).max(initial=0) <= ACCELERATION + 1e-6
    assert np.abs(np.diff(accelerations, axis=0)).max(initial=0) / 0.01 <= JERK + 1e-3


@given(poses, poses)
def test_all_joints_move_on_a_straight_line(start: np.ndarray, goal: np.ndarray) -> None:
    move = plan(start, goal)
    way = goal - start
    if np.linalg.norm(way) < 1e-3:
        return
    along = (move.positions - start) @ way / (way @ way)
    assert move.positions == pytest.approx(start + np.outer(along, way), abs=1e-5)


def test_the_fastest_joint_uses_its_whole_limit() -> None:
    move = plan(np.zeros(6), [3, 1, 0, 0, 0, 0])
    assert move.velocities[:, 0].max() == pytest.approx(VELOCITY)


def test_no_way_to_go_is_one_point_at_the_goal() -> None:
    move = plan(np.ones(6), np.ones(6))
    assert (move.times == [STEP]).all()
    assert (move.positions == 1).all()


@pytest.mark.parametrize('goal', [[np.nan] * 6, [np.inf] * 6, [0.0] * 5, [[0.0] * 6]])
def test_a_goal_that_is_no_pose_is_refused(goal: list) -> None:
    with pytest.raises(ValueError):
        plan(np.zeros(6), goal)
