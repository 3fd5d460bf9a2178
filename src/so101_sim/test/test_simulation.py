"""World and servos together, driven by a clock in the test and by the driver's own protocol."""

from collections.abc import Iterable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from so101_description.joints import HOME, JOINTS, URDF_LIMITS
from so101_driver import registers as reg
from so101_driver.calibration import Calibration
from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_node.error import UserError
from so101_sim.simulation import Simulation

START = 1_700_000_000_000_000_000
IDS = bytes(range(1, 7))


@pytest.fixture
def simulation(model: mujoco.MjModel, calibration: Calibration) -> Simulation:
    return Simulation(model, calibration, seed=0, now=START)


def advance(simulation: Simulation, seconds: float) -> None:
    now = simulation.snapshot().time
    for _ in range(round(seconds / 0.004)):
        now += 4_000_000
        simulation.advance(now)


def ticks(simulation: Simulation) -> np.ndarray:
    request = Packet(BROADCAST, Instruction.SYNC_READ, bytes((56, 2)) + IDS)
    replies = Decoder().feed(simulation.receive(encode(request)))
    return np.array([reg.PRESENT_POSITION.decode(reply.params) for reply in replies])


def write(simulation: Simulation, register: reg.Register, values: Iterable[int]) -> None:
    size = register.size
    data = [bytes((i,)) + register.encode(int(v)) for i, v in zip(IDS, values, strict=True)]
    params = bytes((register.address, size)) + b''.join(data)
    simulation.receive(encode(Packet(BROADCAST, Instruction.SYNC_WRITE, params)))


def test_the_servos_read_home_through_the_drivers_calibration(
    simulation: Simulation, calibration: Calibration
) -> None:
    assert calibration.radians(ticks(simulation)) == pytest.approx(HOME, abs=0.002)


def test_a_torqued_arm_goes_to_its_goal_and_a_limp_one_does_not(
    simulation: Simulation, calibration: Calibration
) -> None:
    target = HOME + np.array([0.4, 0.3, -0.3, -0.3, -0.5, 0.6])
    torque = np.array([1, 1, 1, 1, 1, 0])
    write(simulation, reg.GOAL_POSITION, ticks(simulation))
    write(simulation, reg.TORQUE_ENABLE, torque)
    write(simulation, reg.GOAL_POSITION, calibration.ticks(target))
    advance(simulation, 1.5)
    reached = calibration.radians(ticks(simulation))
    assert reached[:5] == pytest.approx(target[:5], abs=0.01)
    assert reached[5] == pytest.approx(HOME[5], abs=0.1)


def test_a_limp_arm_stays_within_the_calibrated_range(
    simulation: Simulation, calibration: Calibration
) -> None:
    advance(simulation, 3.0)
    assert calibration.outside(ticks(simulation), tolerance=0.0) == []


def test_the_calibration_covers_the_simulated_joints(
    model: mujoco.MjModel, calibration: Calibration
) -> None:
    low, high = (np.array([model.joint(name).range[end] for name in JOINTS]) for end in (0, 1))
    margin = 2 * np.pi / 4096
    assert (calibration.lower <= low + margin).all()
    assert (calibration.upper >= high - margin).all()


def test_the_gripper_percentage_is_the_urdfs_range(calibration: Calibration) -> None:
    assert (calibration.lower[5], calibration.upper[5]) == pytest.approx(URDF_LIMITS['gripper'])


def test_a_reset_takes_the_next_seed(simulation: Simulation) -> None:
    before = simulation.snapshot().positions
    assert simulation.reset() == 1
    after = simulation.snapshot().positions
    assert (before[:6] == after[:6]).all()
    assert (before[6:8] != after[6:8]).all()


def test_time_is_simulated_one_to_one(simulation: Simulation) -> None:
    advance(simulation, 1.0)
    assert simulation.seconds == pytest.approx(1.0)
    assert simulation.snapshot().time == START + 1_000_000_000
    assert simulation.real_time_factor == pytest.approx(1.0, abs=0.01)


def test_a_long_stall_is_not_caught_up_and_lowers_the_factor(simulation: Simulation) -> None:
    advance(simulation, 1.0)
    simulation.advance(simulation.snapshot().time + 2_000_000_000)
    assert simulation.seconds == pytest.approx(1.1)
    assert simulation.snapshot().time == START + 3_000_000_000
    assert simulation.real_time_factor == pytest.approx(1.1 / 3.0, abs=0.01)


def test_a_clock_that_is_set_back_does_not_stop_the_world(simulation: Simulation) -> None:
    advance(simulation, 0.1)
    simulation.advance(START - 3_600_000_000_000)
    now = START - 3_600_000_000_000 + 200_000_000
    simulation.advance(now)
    assert simulation.snapshot().time == pytest.approx(now, abs=2_000_000)


class Port:
    """What a simulation asks of its port."""

    def __init__(self) -> None:
        self.path = Path('port0')
        self.plugged = True

    def unplug(self) -> None:
        self.plugged = False

    def replug(self, rename: bool) -> None:
        self.plugged = True
        self.path = Path('port1') if rename else self.path


def test_a_fault_is_ordered_by_text_and_told_and_listed(simulation: Simulation) -> None:
    said = simulation.inject('hot elbow_flex 80')
    assert said.startswith('hot elbow_flex 80: it has 75 C, or so many')
    assert simulation.faults == ['hot elbow_flex 80']
    assert simulation.inject('hot elbow_flex off') == 'hot elbow_flex off'
    assert simulation.faults == []
    with pytest.raises(UserError, match='known: late'):
        simulation.inject('explode')


def test_the_port_is_pulled_out_and_put_back(simulation: Simulation) -> None:
    with pytest.raises(UserError, match='fault unplug: the simulated bus has no port'):
        simulation.inject('unplug')
    simulation.port = Port()
    assert simulation.inject('unplug') == 'unplug: port0 is gone'
    assert simulation.faults == ['unplug']
    assert simulation.inject('unplug off') == 'unplug off: the port is port0'
    simulation.inject('unplug')
    assert simulation.inject('replug') == 'replug: the port is port1'
    simulation.inject('unplug')
    assert simulation.inject('clear') == 'clear: every fault is off'
    assert simulation.faults == []
    assert simulation.port.path == Path('port1')


def hold(simulation: Simulation) -> np.ndarray:
    """Switch torque on, at the present position; return that."""
    held = ticks(simulation)
    write(simulation, reg.GOAL_POSITION, held)
    write(simulation, reg.TORQUE_ENABLE, [1] * 6)
    return held


def test_the_arm_keeps_torque_and_goals_while_its_port_is_gone(simulation: Simulation) -> None:
    simulation.port = Port()
    held = hold(simulation)
    advance(simulation, 0.5)
    settled = ticks(simulation)
    simulation.inject('unplug')
    advance(simulation, 2.0)
    assert np.abs(ticks(simulation) - settled).max() <= 3
    assert np.abs(ticks(simulation) - held).max() < 40, 'droop'


def test_a_stale_goal_is_a_real_lunge(simulation: Simulation) -> None:
    simulation.inject('stale_goal shoulder_pan')
    held = hold(simulation)
    advance(simulation, 1.0)
    lunge = np.abs(ticks(simulation) - held)
    assert lunge[0] == pytest.approx(557, abs=20)
    assert lunge[1:].max() < 60


def test_a_brownout_lets_go_of_a_joint(simulation: Simulation, calibration: Calibration) -> None:
    outstretched = HOME + np.array([0.0, 1.8, -1.6, -0.8, 0.0, 0.0])
    hold(simulation)
    write(simulation, reg.GOAL_POSITION, calibration.ticks(outstretched))
    advance(simulation, 2.0)
    high = calibration.radians(ticks(simulation))[1]
    simulation.inject('brownout shoulder_lift')
    advance(simulation, 1.0)
    assert abs(calibration.radians(ticks(simulation))[1] - high) > 0.3
