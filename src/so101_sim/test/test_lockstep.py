"""World, servos and driver in lockstep: the same as apart, however they are advanced."""

from dataclasses import asdict

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_description.joints import HOME
from so101_driver import registers as reg
from so101_driver.calibration import Calibration
from so101_driver.driver_node import Parameters
from so101_driver.trajectory import Point, Trajectory
from so101_node.error import UserError
from so101_sim.arm import Arm
from so101_sim.lockstep import BOUNDS, Lockstep
from so101_sim.scene import TIMESTEP
from so101_sim.world import World

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
STEP = round(TIMESTEP * SECOND)
TICK = 2 * np.pi / reg.STEPS_PER_TURN
GOAL = HOME + np.array([0.3, 0.4, -0.5, 0.2, -0.4, 0.5])


def move(simulation: Lockstep, goal: np.ndarray, seconds: float) -> None:
    """Send a trajectory on which the arm gets there."""
    end = simulation.time + round(seconds * SECOND)
    point = Point(end, tuple(goal.tolist()), None, None)
    simulation.send(Trajectory(simulation.time, (point,)))


@pytest.fixture
def simulation(model: mujoco.MjModel, calibration: Calibration) -> Lockstep:
    return Lockstep(model, calibration, 3)


def test_the_bounds_are_the_defaults_of_the_drivers_node() -> None:
    default = Parameters()
    assert asdict(BOUNDS) == {name: getattr(default, name) for name in asdict(BOUNDS)}


def test_it_begins_held_at_home_with_the_cube_at_its_seeds_place(
    simulation: Lockstep, model: mujoco.MjModel
) -> None:
    assert simulation.position == pytest.approx(HOME, abs=2 * TICK)
    assert simulation.reference == pytest.approx(HOME, abs=2 * TICK)
    assert simulation.positions[6:] == pytest.approx(World(model, 3).positions[6:], abs=1e-3)
    assert not simulation.success
    simulation.advance(simulation.time + SECOND)
    assert simulation.position == pytest.approx(HOME, abs=0.06)  # gravity bends it


def test_the_driver_goes_where_it_is_sent_and_measures_where_the_world_has_the_arm(
    simulation: Lockstep,
) -> None:
    move(simulation, GOAL, 1.0)
    for _ in range(200):
        simulation.advance(simulation.time + 10 * MILLISECOND)
        # A cycle is 5 ms, in which nothing here moves faster than 1 rad/s.
        assert simulation.position == pytest.approx(simulation.positions[:6], abs=TICK + 0.005)
    assert simulation.reference == pytest.approx(GOAL, abs=1e-6)
    assert simulation.position == pytest.approx(GOAL, abs=0.06)


def test_it_is_the_pure_pieces_advanced_one_after_the_other(
    simulation: Lockstep, model: mujoco.MjModel, calibration: Calibration
) -> None:
    """What its servos were told, told to servos in a world of their own, moves these alike."""
    world = World(model, 3)
    servos = Arm(calibration, world.angles)

    def tell(angles: np.ndarray) -> None:
        for servo, goal in zip(servos.servos, calibration.ticks(angles), strict=True):
            servo.write(reg.GOAL_POSITION.address, reg.GOAL_POSITION.encode(goal))

    tell(HOME)
    for servo in servos.servos:
        servo.write(reg.TORQUE_ENABLE.address, reg.TORQUE_ENABLE.encode(1))
    move(simulation, GOAL, 1.0)
    apart = []
    for _ in range(600):
        simulation.advance(simulation.time + STEP)
        tell(simulation.reference)
        drive = servos.exchange(world.angles, world.speeds, world.torques, TIMESTEP)
        world.step(drive.targets, drive.strengths)
        apart.append(np.abs(world.angles - simulation.positions[:6]).max())
    # They were let sag for 4 ms less before, which soon is over.
    assert max(apart) < 0.005
    assert apart[-1] < 1e-4


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=12))
def test_in_whatever_portions_it_is_advanced_the_state_is_the_same(
    model: mujoco.MjModel, calibration: Calibration, portions: list[int]
) -> None:
    whole, divided = (Lockstep(model, calibration, 3) for _ in range(2))
    begun = whole.time
    for simulation in (whole, divided):
        move(simulation, GOAL, 0.5)
    end = begun + sum(portions) * MILLISECOND
    whole.advance(end)
    for portion in np.cumsum(portions).tolist():
        divided.advance(begun + portion * MILLISECOND)
    assert divided.time == whole.time
    assert end - whole.time < 2 * MILLISECOND
    assert (divided.positions == whole.positions).all()
    assert (divided.reference == whole.reference).all()


def test_a_trajectory_that_the_driver_refuses_raises(simulation: Lockstep) -> None:
    far = HOME + np.array([2.0, 0, 0, 0, 0, 0])
    points = [
        Point(simulation.time + 10 * MILLISECOND, tuple(HOME.tolist()), None, None),
        Point(simulation.time + 20 * MILLISECOND, tuple(far.tolist()), None, None),
    ]
    with pytest.raises(UserError, match='shoulder_pan would jump'):
        simulation.send(Trajectory(simulation.time, tuple(points)))


def test_a_fault_of_the_driver_raises(simulation: Lockstep) -> None:
    into_the_table = np.array([0.0, 0.9, 0.3, 0.9, HOME[4], HOME[5]])
    move(simulation, into_the_table, 2.0)
    with pytest.raises(UserError, match=r'shoulder_lift is \d+ degrees behind its goal'):
        simulation.advance(simulation.time + 5 * SECOND)
