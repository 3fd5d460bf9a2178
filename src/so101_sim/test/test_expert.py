"""The expert does the task from any start, as a person might, and never twice in the same way."""

from itertools import pairwise

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_description.joints import GRIPPER, HOME
from so101_description.kinematics import gripper_frame
from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE
from so101_driver.calibration import Calibration
from so101_node.error import UserError
from so101_sim.expert import STEP, Way, demonstration, reaction, straight
from so101_sim.hand import Waves
from so101_sim.rehearsal import rehearse
from so101_sim.scene import CUBE_SIZE

HALF = SQUARE_SIZE / 2
PLACES = st.tuples(*(st.floats(middle - HALF, middle + HALF) for middle in SQUARE_CENTRE))
YAWS = st.floats(-np.pi, np.pi)
SEEDS = st.integers(0, 2**62)


@settings(max_examples=50)
@given(PLACES, YAWS, SEEDS)
def test_every_place_has_a_way_at_a_human_pace_between_two_rests(
    place: tuple[float, float], yaw: float, seed: int
) -> None:
    way = demonstration(HOME, place, yaw, seed)
    assert 5.0 < way.seconds < 8.0
    assert way.poses[0] == pytest.approx(HOME, abs=1e-9)
    speeds = np.diff(way.poses, axis=0) / STEP
    accelerations = np.diff(speeds, axis=0) / STEP
    # The driver's own limits are 3 rad/s and 40 rad/s^2.
    assert np.abs(speeds).max() < 2.5
    assert np.abs(accelerations).max() < 20
    assert np.abs(speeds[[0, -1]]).max() < 0.02


@settings(max_examples=50)
@given(PLACES, YAWS, SEEDS)
def test_the_jaws_close_on_two_sides_of_the_cube_and_around_its_middle(
    place: tuple[float, float], yaw: float, seed: int
) -> None:
    way = demonstration(HOME, place, yaw, seed)
    closing = np.flatnonzero(np.diff(way.poses[:, GRIPPER]) < -0.005)
    frame = gripper_frame(way.poses[closing[-1]])
    jaws = np.arctan2(frame[1, 0], frame[0, 0])
    assert (jaws - yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4 == pytest.approx(0, abs=0.06)
    middle = (frame @ [-CUBE_SIZE / 2, 0, 0, 1])[:3]
    assert np.linalg.norm(middle[:2] - place) < 0.005
    assert 0.0 < middle[2] < CUBE_SIZE


@settings(max_examples=20)
@given(PLACES, YAWS, YAWS, SEEDS)
def test_the_hand_turns_to_the_cube_only_above_it(
    place: tuple[float, float], yaw: float, other: float, seed: int
) -> None:
    one, another = (demonstration(HOME, place, turned, seed).poses for turned in (yaw, other))
    turning = np.flatnonzero(np.abs(one - another).max(axis=1) > 1e-3)
    if len(turning):
        x, y, height = (gripper_frame(one[turning[0]]) @ [-CUBE_SIZE / 2, 0, 0, 1])[:3]
        assert height < 0.1
        assert np.hypot(x - place[0], y - place[1]) < 0.04


def test_the_same_seed_gives_the_same_way_and_others_differ() -> None:
    def made(seed: int) -> Way:
        return demonstration(HOME, SQUARE_CENTRE, 0.3, seed)

    assert (made(1).poses == made(1).poses).all()
    assert len({made(seed).seconds for seed in range(8)}) > 4
    for one, other in pairwise(map(made, range(8))):
        both = min(len(one.poses), len(other.poses))
        assert np.abs(one.poses[:both] - other.poses[:both]).max() > 0.02
    assert reaction(1) == reaction(1) != reaction(2)


@pytest.mark.parametrize('place', [(0.6, 0.0), (0.26, 0.4), (-0.2, 0.0), (0.1, 0.0)])
def test_a_cube_out_of_reach_is_said_to_be(place: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r'no way to a cube at x .*, y .* m: '):
        demonstration(HOME, place, 0.0, 0)


def test_a_way_is_followed_between_its_poses_and_held_beyond_its_ends() -> None:
    way = Way(np.outer([0.0, 1.0, 3.0], np.ones(6)))
    assert way.seconds == 2 * STEP
    for seconds, expected in ((-1, 0), (0, 0), (0.5, 0.5), (1.5, 2), (2, 3), (9, 3)):
        assert way.pose(seconds * STEP) == pytest.approx(expected * np.ones(6))
    assert (Way(HOME[None]).pose(5.0) == HOME).all()


def test_a_straight_way_is_smooth_and_no_faster_than_it_says() -> None:
    goal = HOME + np.array([1.0, 2.0, -1.0, 0.0, 0.5, 0.1])
    way = straight(HOME, goal)
    assert (way.poses[0] == HOME).all()
    assert way.poses[-1] == pytest.approx(goal)
    speeds = np.abs(np.diff(way.poses, axis=0)) / STEP
    assert 1.9 < speeds.max() < 2.01
    assert speeds[[0, -1]].max() < 0.05
    assert (straight(HOME, HOME).pose(1.0) == HOME).all()


# With the others the cube leans on the bowl's wall, where it once trembled for ever.
@pytest.mark.parametrize('seed', [*range(5000, 5017), 800_106, 800_113, 800_115])
def test_the_cube_lies_in_the_bowl_afterwards(
    model: mujoco.MjModel, calibration: Calibration, seed: int
) -> None:
    ended = rehearse(model, calibration, seed)
    assert ended.said == ''
    assert ended.success
    assert ended.seconds < 9.0


def test_so_it_does_from_another_start(model: mujoco.MjModel, calibration: Calibration) -> None:
    assert rehearse(model, calibration, 5001, start=Waves(1).pose(0.0)).success


def test_a_driver_that_refuses_has_the_last_word(
    model: mujoco.MjModel, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    leap = Way(np.vstack([np.tile(HOME, (5, 1)), np.tile(HOME + 1.5, (500, 1))]))
    monkeypatch.setattr('so101_sim.expert.demonstration', lambda *_: leap)
    ended = rehearse(model, calibration, 0)
    assert not ended.success
    assert 'would jump' in ended.said
