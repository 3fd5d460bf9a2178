"""The physics: placements, success, torqued and limp joints, kinematics."""

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description import workspace
from so101_description.joints import HOME
from so101_node.error import UserError
from so101_sim import scene
from so101_sim.world import PLACE_MARGIN, World, check_place

TORQUED, LIMP = np.ones(6), np.zeros(6)


def run(world: World, seconds: float, targets: np.ndarray, strengths: np.ndarray) -> None:
    for _ in range(round(seconds / scene.TIMESTEP)):
        world.step(targets, strengths)


def test_the_same_seed_gives_the_same_placement_and_another_one_another(
    model: mujoco.MjModel,
) -> None:
    first, again, other = (World(model, seed).positions for seed in (5, 5, 6))
    assert (first == again).all()
    assert np.abs(first - other)[6:8].max() > 1e-3


def test_a_seeded_run_is_deterministic(model: mujoco.MjModel) -> None:
    worlds = [World(model, 3), World(model, 3)]
    for world in worlds:
        run(world, 0.5, HOME + 0.2, TORQUED)
    assert (worlds[0].positions == worlds[1].positions).all()


def test_every_placement_is_in_the_square_and_clear_of_bowl_and_arm(model: mujoco.MjModel) -> None:
    world = World(model, 0)
    half = workspace.SQUARE_SIZE / 2
    for seed in range(200):
        world.reset(seed)
        x, y, z = world.positions[6:9]
        assert abs(x - workspace.SQUARE_CENTRE[0]) <= half
        assert abs(y - workspace.SQUARE_CENTRE[1]) <= half
        assert z == pytest.approx(scene.CUBE_SIZE / 2)
        distance = np.hypot(x - scene.BOWL_CENTRE[0], y - scene.BOWL_CENTRE[1])
        assert distance > scene.BOWL_RIM_RADIUS + scene.CUBE_SIZE / np.sqrt(2)
        assert not world.success()


@given(*[st.floats(-1.0, 1.0)] * 2)
def test_a_place_that_is_taken_is_within_reach_and_clear_of_the_bowl(x: float, y: float) -> None:
    reach = workspace.SQUARE_SIZE / 2 + PLACE_MARGIN
    place = (workspace.SQUARE_CENTRE[0] + x * reach, workspace.SQUARE_CENTRE[1] + y * reach)
    check_place(*place)
    distance = np.hypot(place[0] - scene.BOWL_CENTRE[0], place[1] - scene.BOWL_CENTRE[1])
    assert distance > scene.BOWL_RIM_RADIUS + scene.CUBE_SIZE / np.sqrt(2)


@pytest.mark.parametrize('place', [(0.26, 0.08), (0.1, 0.0), (np.nan, 0.0), (0.26, -np.inf)])
def test_a_place_elsewhere_is_refused(place: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r'give x 0\.19 to 0\.33, y -0\.07 to 0\.07, metres'):
        check_place(*place)


def test_the_cube_is_put_where_it_is_said_with_the_yaw_of_the_seed(model: mujoco.MjModel) -> None:
    world = World(model, 4)
    seeded = world.positions
    world.reset(4, (0.21, -0.06))
    assert world.positions[6:8].tolist() == [0.21, -0.06]
    assert (world.positions[8:] == seeded[8:]).all()


def test_a_reset_leaves_the_arm_where_it_is(model: mujoco.MjModel) -> None:
    world = World(model, 0)
    run(world, 0.3, HOME + 0.3, TORQUED)
    angles = world.angles
    world.reset(1)
    assert (world.angles == angles).all()


@pytest.mark.parametrize('offset', [0.0, 0.03])
def test_a_cube_dropped_into_the_bowl_is_a_success_once_it_rests(
    model: mujoco.MjModel, offset: float
) -> None:
    world = World(model, 0)
    world.put_cube((scene.BOWL_CENTRE[0] + offset, scene.BOWL_CENTRE[1], 0.08), 0.4)
    run(world, 0.4, HOME, TORQUED)
    assert not world.success()
    run(world, 2.0, HOME, TORQUED)
    assert world.success()
    world.reset(0)
    assert not world.success()


@pytest.mark.parametrize('place', [(0.3, 0.0, 0.05), (0.22, 0.05, 0.05), (0.22, 0.25, 0.05)])
def test_a_cube_beside_the_bowl_is_no_success(
    model: mujoco.MjModel, place: tuple[float, float, float]
) -> None:
    world = World(model, 0)
    world.put_cube(place)
    run(world, 2.0, HOME, TORQUED)
    assert not world.success()


def test_a_torqued_arm_holds_home_and_goes_to_zero(model: mujoco.MjModel) -> None:
    world = World(model, 0)
    run(world, 1.0, HOME, TORQUED)
    assert world.angles == pytest.approx(HOME, abs=0.003)
    run(world, 2.0, np.zeros(6), TORQUED)
    assert world.angles == pytest.approx(np.zeros(6), abs=0.003)


def test_a_limp_arm_at_home_settles(model: mujoco.MjModel) -> None:
    world = World(model, 0)
    run(world, 5.0, HOME, LIMP)
    assert world.angles == pytest.approx(HOME, abs=np.deg2rad(15))
    assert np.abs(world.speeds).max() < 0.01


def test_a_limp_arm_at_zero_falls(model: mujoco.MjModel) -> None:
    world = World(model, 0)
    run(world, 2.0, np.zeros(6), TORQUED)
    run(world, 1.5, np.zeros(6), LIMP)
    assert world.angles[1] > 0.2


@pytest.mark.parametrize(
    ('angles', 'tip'),
    [
        ((0, 0, 0, 0, 0), (0.39136, -0.00001, 0.22647)),
        ((0.3, -0.4, 0.5, 0.2, -0.6), (0.32418, -0.08364, 0.16970)),
    ],
)
def test_the_arm_is_the_urdfs(
    model: mujoco.MjModel, angles: tuple[float, ...], tip: tuple[float, ...]
) -> None:
    data = mujoco.MjData(model)
    data.qpos[:5] = angles
    mujoco.mj_forward(model, data)
    assert data.site('gripperframe').xpos == pytest.approx(tip, abs=1e-4)


def test_names_cover_every_coordinate(model: mujoco.MjModel) -> None:
    assert len(scene.coordinate_names()) == model.nq
