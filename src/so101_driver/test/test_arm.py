"""What the arm does in each of its states."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, State
from so101_driver.calibration import Calibration
from so101_driver.limits import MAX_INTERVAL, Limits
from so101_driver.registers import (
    PRESENT_POSITION,
    PRESENT_TEMPERATURE,
    STATE_ADDRESS,
    STATE_SIZE,
    STATUS,
)
from so101_driver.servo_state import ServoStates
from so101_node.error import UserError

S = 1_000_000_000
CYCLE = S // 200
NOW = 1_000 * S


def states(ticks: Any = (2000, 2000, 2000, 2000, 2047, 2000), status: int = 0) -> ServoStates:
    """`status` is that of shoulder_lift."""
    blocks = []
    for index, tick in enumerate(ticks):
        block = bytearray(STATE_SIZE)
        block[0:2] = PRESENT_POSITION.encode(tick)
        block[PRESENT_TEMPERATURE.address - STATE_ADDRESS] = 30
        block[STATUS.address - STATE_ADDRESS] = status if index == 1 else 0
        blocks.append(bytes(block))
    return ServoStates(blocks)


def trajectory(seconds: float, *positions: float) -> Any:
    """One point, and the same for every joint or six."""
    row = list(positions) if len(positions) == 6 else [positions[0]] * 6
    duration = SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * S))
    point = SimpleNamespace(
        time_from_start=duration, positions=row, velocities=[], accelerations=[], effort=[]
    )
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0))
    return SimpleNamespace(header=header, joint_names=list(JOINTS), points=[point])


@pytest.fixture
def idle(calibration: Calibration) -> Arm:
    arm = Arm(calibration, max_velocity=3.0)
    arm.connect()
    return arm


@pytest.fixture
def holding(idle: Arm) -> Arm:
    idle.check_torque_on(states())
    idle.torque_on(NOW, states())
    return idle


def run(arm: Arm, start: int, seconds: float) -> int:
    """Step the arm for some seconds; return the time after it."""
    for _ in range(round(seconds * 200)):
        start += CYCLE
        assert arm.step(start, states()) is not None
        arm.written()
    return start


def test_states_are_parsed_with_their_signs_and_units() -> None:
    parsed = states([100, -5, 0, 4095, 1, 2], status=32 | 4)
    assert parsed.position.tolist() == [100, -5, 0, 4095, 1, 2]
    assert parsed.temperature.tolist() == [30] * 6
    assert parsed.faults(0) == []
    assert parsed.faults(1) == ['temperature', 'overload']


def test_a_limp_arm_gets_no_goals(calibration: Calibration) -> None:
    arm = Arm(calibration, 3.0)
    assert arm.state == State.DISCONNECTED
    arm.connect()
    assert arm.state == State.IDLE
    assert arm.step(NOW, states()) is None


def test_with_torque_the_arm_holds_the_position_it_had(holding: Arm) -> None:
    assert holding.state == State.HOLDING
    goals = holding.step(NOW + CYCLE, states([1990] * 6))
    assert goals is not None and goals == [2000, 2000, 2000, 2000, 2047, 2000]


def test_a_trajectory_is_followed_to_its_end_and_held_there(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 0.5), NOW)
    assert holding.state == State.ACTIVE
    now = run(holding, NOW, 0.5)
    assert holding.reference is not None
    assert holding.reference[0] == pytest.approx(0.25, abs=0.01)
    assert holding.velocity[0] == pytest.approx(0.5, abs=0.01)
    run(holding, now, 0.6)
    assert holding.state == State.HOLDING
    assert holding.reference == pytest.approx(np.full(6, 0.5))
    assert not holding.velocity.any()


def test_a_fast_trajectory_is_followed_at_the_velocity_limit_to_its_end(holding: Arm) -> None:
    holding.accept(trajectory(0.01, 1.2), NOW)
    run(holding, NOW, 0.1)
    assert holding.reference is not None
    assert holding.reference[0] == pytest.approx(0.3, abs=0.02)
    assert holding.state == State.ACTIVE
    run(holding, NOW + S // 10, 0.5)
    assert holding.reference[0] == pytest.approx(1.2)
    assert holding.state == State.HOLDING


def test_goals_stay_inside_the_calibrated_limits(holding: Arm) -> None:
    holding.accept(trajectory(0.1, 3.0, -3.0, 0, 0, 3.1, 3.0), NOW)
    now = run(holding, NOW, 2.0)
    goals = holding.step(now + CYCLE, states())
    assert goals is not None
    wrist_roll = round(2047.5 + math.degrees(2.84121) * 4095 / 360)
    assert goals == [3000, 1000, 2000, 2000, wrist_roll, 3000]
    assert holding.state == State.HOLDING


rows = hnp.arrays(float, 6, elements=st.floats(-4, 4))


@given(rows, rows, st.floats(-1, 1))
def test_the_reference_never_leaps_and_never_leaves_the_limits(
    reference: np.ndarray, target: np.ndarray, seconds: float
) -> None:
    limits = Limits(np.full(6, -1.5), np.full(6, 1.5), max_velocity=2.0)
    reference = np.clip(reference, -1.5, 1.5)
    moved, arrived = limits.approach(reference, target, seconds)
    reach = 2.0 * min(max(seconds, 0.0), MAX_INTERVAL)
    assert np.abs(moved - reference).max() <= reach + 1e-12
    assert (np.abs(moved) <= 1.5 + 1e-12).all()
    assert not arrived or moved == pytest.approx(np.clip(target, -1.5, 1.5))


def test_trajectories_are_refused_without_torque_and_counted(idle: Arm) -> None:
    with pytest.raises(UserError, match='torque is off'):
        idle.accept(trajectory(1.0, 0.0), NOW)
    idle.torque_on(NOW, states())
    with pytest.raises(UserError, match='not finite'):
        idle.accept(trajectory(1.0, math.nan), NOW)
    idle.accept(trajectory(1.0, 0.0), NOW)
    assert (idle.received, idle.rejected, idle.started) == (3, 2, 0)
    assert 'not finite' in idle.last_rejection


def test_a_trajectory_counts_as_started_once_its_goal_was_written(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 0.1), NOW)
    holding.step(NOW + CYCLE, states())
    assert holding.started == 0
    holding.step(NOW + 2 * CYCLE, states())
    holding.written()
    assert holding.started == 1
    run(holding, NOW + 2 * CYCLE, 0.1)
    assert holding.started == 1


def test_torque_on_is_refused_outside_the_limits(idle: Arm) -> None:
    idle.check_torque_on(states([1000 - 20, 3000 + 20, 2000, 2000, 2047, 2000]))
    with pytest.raises(UserError, match=r'elbow_flex at 900 of 1000 to 3000.*by hand'):
        idle.check_torque_on(states([2000, 2000, 900, 2000, 2047, 2000]))


def test_torque_on_is_refused_while_a_servo_reports_a_fault(idle: Arm) -> None:
    with pytest.raises(UserError, match='shoulder_lift reports overload'):
        idle.check_torque_on(states(status=32))


def test_stop_holds_the_reference_and_is_latched(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    now = run(holding, NOW, 0.3)
    held = holding.reference
    holding.stop()
    assert holding.state == State.FAULT
    now = run(holding, now, 0.3)
    assert (holding.reference == held).all()
    with pytest.raises(UserError, match='arm/stop'):
        holding.accept(trajectory(1.0, 1.0), now)
    with pytest.raises(UserError, match='arm/stop'):
        holding.check_torque_on(states())


def test_clearing_a_stop_keeps_droop_but_does_not_snap_back_a_displaced_joint(
    holding: Arm,
) -> None:
    holding.stop()
    holding.step(NOW + CYCLE, states([1980, 1700, 2000, 2000, 2047, 2000]))
    holding.clear_fault()
    assert holding.state == State.HOLDING
    goals = holding.step(NOW + 2 * CYCLE, states())
    assert goals is not None and goals == [2000, 1700, 2000, 2000, 2047, 2000]


@pytest.mark.parametrize(
    ('bit', 'reason'),
    [
        (1, 'voltage: check the power supply'),
        (2, 'encoder'),
        (4, 'temperature: let it cool'),
        (8, 'current'),
        (32, 'overload: free the joint'),
        (16, r'unknown \(status 16\)'),
    ],
)
def test_a_servos_fault_stops_the_arm_until_it_is_gone_and_cleared(
    holding: Arm, bit: int, reason: str
) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    holding.step(NOW + CYCLE, states(status=bit))
    assert holding.state == State.FAULT
    with pytest.raises(UserError, match=reason):
        holding.accept(trajectory(1.0, 1.0), NOW)
    with pytest.raises(UserError, match='shoulder_lift'):
        holding.clear_fault()
    holding.step(NOW + 2 * CYCLE, states())
    holding.clear_fault()
    assert holding.state == State.HOLDING


def test_a_bus_lost_with_torque_is_a_fault_and_without_it_none(holding: Arm) -> None:
    holding.disconnect('no answer')
    assert holding.state == State.FAULT
    assert not holding.torque
    with pytest.raises(UserError, match='do not answer'):
        holding.clear_fault()
    holding.connect()
    assert holding.state == State.FAULT
    holding.clear_fault()
    assert holding.state == State.IDLE
    holding.disconnect('no answer')
    assert holding.state == State.DISCONNECTED
