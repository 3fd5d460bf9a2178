"""What the arm does in each of its states."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, Bounds, Command, Rating, State
from so101_driver.calibration import Calibration
from so101_driver.monitor import Reading
from so101_driver.registers import (
    FULL_ADDRESS,
    FULL_SIZE,
    GOAL_POSITION,
    PRESENT_POSITION,
    STATE_SIZE,
    STATUS,
    TORQUE_ENABLE,
    TORQUE_LIMIT,
)
from so101_driver.servo_state import ServoStates
from so101_driver.torque_ramp import SECONDS, TorqueRamp
from so101_driver.trajectory import Trajectory, parse
from so101_node.error import UserError

S = 1_000_000_000
CYCLE = S // 200
NOW = 1_000 * S
REST = (2000, 2000, 2000, 2000, 2047, 2000)
LIFT = JOINTS.index('shoulder_lift')
ELBOW = JOINTS.index('elbow_flex')

BOUNDS = Bounds(max_velocity=3.0, max_acceleration=40.0, max_jump=1.0, command_timeout=0.0)
RATINGS = [Rating(1000, 800)] * 5 + [Rating(500, 250)]


def states(
    ticks: Sequence[int] = REST, status: int = 0, torque: Sequence[int] = (1,) * 6
) -> ServoStates:
    """`status` is that of shoulder_lift."""
    blocks = []
    for index, tick in enumerate(ticks):
        table = bytearray(FULL_ADDRESS + FULL_SIZE)
        table[TORQUE_ENABLE.address] = torque[index]
        for register, value in (
            (GOAL_POSITION, tick),
            (PRESENT_POSITION, tick),
            (TORQUE_LIMIT, RATINGS[index].torque),
        ):
            end = register.address + register.size
            table[register.address : end] = register.encode(value)
        table[STATUS.address] = status if index == LIFT else 0
        blocks.append(bytes(table[FULL_ADDRESS:]))
    return ServoStates(blocks)


def trajectory(seconds: float, *positions: float, start: float = 0.0) -> Trajectory:
    """One point, the same for every joint or six, `start` seconds after NOW (0: at once)."""
    row = list(positions) if len(positions) == 6 else [positions[0]] * 6
    duration = SimpleNamespace(sec=int(seconds), nanosec=round(seconds % 1 * S))
    point = SimpleNamespace(
        time_from_start=duration, positions=row, velocities=[], accelerations=[], effort=[]
    )
    at = round(start * S) and NOW + round(start * S)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=at // S, nanosec=at % S))
    message: Any = SimpleNamespace(header=header, joint_names=list(JOINTS), points=[point])
    return parse(message, NOW)


def switch_on(arm: Arm, seen: ServoStates | None = None) -> None:
    """Bring torque on, and its ramp to the end."""
    seen = seen or states()
    arm.check_torque_on(seen)
    begin = NOW - round(SECONDS * S) - 2 * CYCLE
    arm.torque_on(begin, TorqueRamp(begin, seen.position, seen.position))
    for now in (NOW - CYCLE, NOW):
        arm.sense(now, Reading(seen))
        written(arm, now)


@pytest.fixture
def idle(calibration: Calibration) -> Arm:
    arm = Arm(calibration, BOUNDS)
    arm.connect(NOW, states(torque=[0] * 6), RATINGS)
    return arm


@pytest.fixture
def holding(idle: Arm) -> Arm:
    switch_on(idle)
    return idle


def written(arm: Arm, now: int) -> Command | None:
    command = arm.command(now)
    if command is not None:
        arm.written(command)
    return command


def run(arm: Arm, start: int, seconds: float, obey: bool = True) -> int:
    """Run the arm for some seconds; return the time after it. Servos are at their goals."""
    ticks = list(REST) if arm.states is None else list(arm.states.position)
    for _ in range(round(seconds * 200)):
        start += CYCLE
        arm.sense(start, Reading(states(ticks)))
        command = written(arm, start)
        assert command is not None
        if obey:
            for joint, goal in command.goals.items():
                ticks[joint] = goal
    return start


def reference(arm: Arm) -> np.ndarray:
    assert arm.motion is not None
    return arm.motion.position


def test_a_limp_arm_gets_no_goals(calibration: Calibration) -> None:
    arm = Arm(calibration, BOUNDS)
    assert arm.state == State.DISCONNECTED
    arm.connect(NOW, states(torque=[0] * 6), RATINGS)
    assert arm.state == State.IDLE
    arm.sense(NOW, Reading(states(torque=[0] * 6)))
    assert arm.command(NOW) is None


def test_with_torque_the_arm_holds_the_position_it_had(holding: Arm) -> None:
    assert holding.state == State.HOLDING
    holding.sense(NOW + CYCLE, Reading(states([1990] * 6)))
    command = written(holding, NOW + CYCLE)
    assert command is not None
    assert [command.goals[joint] for joint in range(6)] == list(REST)


@pytest.mark.parametrize('tick', range(1000, 3001, 61))
def test_torque_comes_on_at_exactly_the_present_ticks(idle: Arm, tick: int) -> None:
    switch_on(idle, states([tick] * 4 + [tick, tick]))
    command = written(idle, NOW + CYCLE)
    assert command is not None
    assert set(command.goals.values()) == {tick}


def test_torque_grows_to_what_each_servo_is_rated_for(idle: Arm) -> None:
    idle.torque_on(NOW, TorqueRamp(NOW, REST, REST))
    limits = dict(enumerate(idle.torque_limits(0.02)))
    at_rest = ServoStates(
        [PRESENT_POSITION.encode(tick).ljust(STATE_SIZE, b'\0') for tick in REST]
    )  # without commands
    now = NOW
    while idle.ramping:
        now += CYCLE
        idle.sense(now, Reading(at_rest))
        command = written(idle, now)
        assert command is not None
        for joint, limit in command.torque_limits.items():
            assert limit > limits[joint]
            limits[joint] = limit
    assert list(limits.values()) == [rating.torque for rating in RATINGS]
    assert now - NOW >= SECONDS * S


def test_a_joint_that_moves_while_torque_comes_on_makes_the_arm_limp(idle: Arm) -> None:
    idle.torque_on(NOW, TorqueRamp(NOW, REST, REST))
    idle.sense(NOW + CYCLE, Reading(states([2000, 2000, 2008, 2000, 2047, 2000])))
    command = idle.command(NOW + CYCLE)
    assert command is not None
    assert sorted(command.release) == list(range(6))
    assert not command.goals
    assert not idle.torque
    assert 'elbow_flex moved while torque came on' in idle.fault


def test_a_trajectory_is_followed_to_its_end_and_held_there(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 0.5), NOW)
    assert holding.state == State.ACTIVE
    now = run(holding, NOW, 0.5)
    assert reference(holding)[0] == pytest.approx(0.25, abs=0.01)
    run(holding, now, 0.6)
    assert holding.state == State.HOLDING
    assert reference(holding) == pytest.approx(np.full(6, 0.5))


def test_a_fast_trajectory_is_followed_at_the_limits_to_its_end(holding: Arm) -> None:
    holding.accept(trajectory(0.01, 0.9), NOW)
    seen = []
    for _ in range(100):
        run(holding, NOW + len(seen) * CYCLE, 0.005)
        assert holding.motion is not None
        seen.append((holding.motion.position[0], holding.motion.velocity[0]))
    positions, speeds = np.transpose(seen)
    assert np.abs(speeds).max() <= 3.0 + 1e-9
    assert np.abs(np.diff(speeds, prepend=0.0)).max() <= 40.0 * CYCLE / S + 1e-9
    assert positions.max() <= 0.9 + 1e-9
    assert positions[-1] == pytest.approx(0.9)
    assert holding.state == State.HOLDING


def test_goals_stay_inside_the_calibrated_limits(holding: Arm) -> None:
    holding.accept(trajectory(1.5, 3.0, -3.0, 0, 0, 3.1, 3.0), NOW)
    now = run(holding, NOW, 3.0)
    command = written(holding, now + CYCLE)
    assert command is not None
    wrist_roll = int(2047.5 + math.degrees(2.84121) * 4095 / 360)
    assert list(command.goals.values()) == [3000, 1000, 2000, 2000, wrist_roll, 3000]
    assert holding.state == State.HOLDING


def test_trajectories_are_refused_without_torque_and_counted(idle: Arm) -> None:
    with pytest.raises(UserError, match='torque is off'):
        idle.accept(trajectory(1.0, 0.0), NOW)
    switch_on(idle)
    idle.refuse('point 0 is not finite', unsound=True)
    idle.accept(trajectory(1.0, 0.0), NOW)
    assert (idle.received, idle.rejected, idle.started) == (3, 2, 0)
    assert 'not finite' in idle.last_rejection


def test_an_unsound_trajectory_stops_the_arm_and_one_that_is_only_late_does_not(
    holding: Arm,
) -> None:
    holding.accept(trajectory(1.0, 0.5), NOW)
    now = run(holding, NOW, 0.3)
    holding.refuse('it ended in the past', unsound=False)
    now = run(holding, now, 0.1)
    assert reference(holding)[0] == pytest.approx(0.2, abs=0.02)
    holding.refuse('nan', unsound=True)
    before = reference(holding)[0]
    run(holding, now, 0.5)
    assert reference(holding)[0] == pytest.approx(before, abs=0.01)
    assert holding.state == State.HOLDING


def test_a_jump_is_refused_the_arm_holds_and_it_is_shown(holding: Arm) -> None:
    holding.accept(trajectory(0.05, 1.4, 0, 0, 0, 0, 0), NOW)
    run(holding, NOW, 0.1)
    assert holding.state == State.HOLDING
    assert reference(holding)[0] == pytest.approx(0.0, abs=0.001)
    assert 'shoulder_pan would jump' in holding.last_rejection
    assert (holding.rejected, holding.started) == (1, 0)


def test_a_trajectory_counts_as_started_once_its_goal_was_written(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 0.1), NOW)
    assert holding.command(NOW + CYCLE) is not None
    assert holding.started == 0
    written(holding, NOW + 2 * CYCLE)
    assert holding.started == 1
    run(holding, NOW + 2 * CYCLE, 0.1)
    assert holding.started == 1
    assert holding.replaced == 0


def test_trajectories_that_a_later_one_overtakes_count_as_replaced(holding: Arm) -> None:
    for seconds in (1.0, 1.5):  # due at once: the second in place of the first
        holding.accept(trajectory(seconds, 0.1), NOW)
    assert holding.command(NOW + CYCLE) is not None
    assert holding.replaced == 1
    holding.accept(trajectory(2.0, 0.1), NOW)  # in place of the second, which was not written yet
    written(holding, NOW + 2 * CYCLE)
    assert (holding.received, holding.replaced, holding.started) == (3, 2, 1)


def test_a_silent_sender_makes_a_moving_arm_slow_down_and_hold(calibration: Calibration) -> None:
    arm = Arm(calibration, Bounds(3.0, 40.0, 1.0, command_timeout=0.25))
    arm.connect(NOW, states(torque=[0] * 6), RATINGS)
    switch_on(arm)
    arm.accept(trajectory(1.0, 0.5), NOW)
    now = run(arm, NOW, 0.2)
    arm.accept(trajectory(1.0, 0.5), now)
    now = run(arm, now, 0.24)
    assert arm.state == State.ACTIVE
    now = run(arm, now, 0.1)
    assert arm.state == State.HOLDING
    assert 'no trajectory for 0.25 s' in arm.last_rejection
    assert not arm.fault
    run(arm, now, 1.0)
    assert reference(arm)[0] < 0.4
    assert arm.rejected == 1


def test_torque_on_is_refused_outside_the_limits(idle: Arm) -> None:
    idle.check_torque_on(states([1000 - 20, 3000 + 20, 2000, 2000, 2047, 2000]))
    with pytest.raises(UserError, match=r'elbow_flex at 900 of 1000 to 3000.*by hand'):
        idle.check_torque_on(states([2000, 2000, 900, 2000, 2047, 2000]))


def test_torque_on_is_refused_while_a_servo_reports_a_fault(idle: Arm) -> None:
    with pytest.raises(UserError, match='shoulder_lift reports overload'):
        idle.check_torque_on(states(status=32))


def test_stop_slows_down_and_is_latched(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    now = run(holding, NOW, 0.3)
    assert holding.motion is not None
    before = holding.motion
    holding.stop()
    assert holding.state == State.FAULT
    run(holding, now, CYCLE / S)
    assert holding.motion.velocity[0] == pytest.approx(before.velocity[0] - 40 * CYCLE / S)
    now = run(holding, now, 0.3)
    way = before.velocity[0] ** 2 / (2 * 40.0)
    assert reference(holding)[0] == pytest.approx(before.position[0] + way, abs=0.005)
    with pytest.raises(UserError, match='arm/stop'):
        holding.accept(trajectory(1.0, 1.0), now)
    with pytest.raises(UserError, match='arm/stop'):
        holding.check_torque_on(states())


def test_clearing_a_stop_keeps_droop_but_does_not_snap_back_a_displaced_joint(
    holding: Arm,
) -> None:
    holding.stop()
    moved = states([1980, 1700, 2000, 2000, 2047, 2000])
    holding.sense(NOW + CYCLE, Reading(moved))
    written(holding, NOW + CYCLE)
    holding.clear_fault()
    assert holding.state == State.HOLDING
    command = written(holding, NOW + 2 * CYCLE)
    assert command is not None
    assert list(command.goals.values()) == [2000, 1700, 2000, 2000, 2047, 2000]


@pytest.mark.parametrize(
    ('bit', 'reason', 'goal'),
    [
        (1, 'voltage: measure the power supply', 2000),
        (2, 'encoder: switch the power off', None),
        (4, 'temperature: support the arm', 2000),
        (8, 'current: free the joint', 1970),
        (32, 'overload: free the joint', 1970),
        (16, 'status 16', 2000),
    ],
)
def test_each_fault_of_a_servo_stops_the_arm_with_its_own_reaction(
    holding: Arm, bit: int, reason: str, goal: int | None
) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    sagging = [2000, 1970, 2000, 2000, 2047, 2000]
    holding.sense(NOW + CYCLE, Reading(states(sagging, status=bit)))
    command = written(holding, NOW + CYCLE)
    assert command is not None
    assert command.goals.get(LIFT) == goal
    assert command.release == ((LIFT,) if goal is None else ())
    assert command.goals[0] == 2000
    assert holding.state == State.FAULT
    with pytest.raises(UserError, match=reason):
        holding.accept(trajectory(1.0, 1.0), NOW)
    with pytest.raises(UserError, match='shoulder_lift'):
        holding.clear_fault()
    holding.sense(NOW + 2 * CYCLE, Reading(states(sagging)))
    if goal is None:
        with pytest.raises(UserError, match='shoulder_lift has no torque: support the arm'):
            holding.clear_fault()
        holding.torque_off()
    holding.clear_fault()
    assert holding.state == (State.IDLE if goal is None else State.HOLDING)


def test_a_joint_that_yields_does_so_once_and_does_not_creep(holding: Arm) -> None:
    for cycle, tick in enumerate((1900, 1890, 1880)):
        now = NOW + (cycle + 1) * CYCLE
        holding.sense(now, Reading(states([2000, tick, *REST[2:]], status=32)))
        command = written(holding, now)
        assert command is not None
        assert command.goals[LIFT] == 1900


def test_a_joint_that_lost_its_torque_gets_no_goals_and_the_others_hold(holding: Arm) -> None:
    limp = states(torque=[1, 1, 0, 1, 1, 1])
    holding.sense(NOW + CYCLE, Reading(limp))
    command = written(holding, NOW + CYCLE)
    assert command is not None
    assert command.release == (ELBOW,)
    assert sorted(command.goals) == [0, 1, 3, 4, 5]
    assert 'elbow_flex lost its torque' in holding.fault
    with pytest.raises(UserError, match='elbow_flex has no torque'):
        holding.clear_fault()


def test_a_limp_servo_that_pulls_by_itself_is_switched_off(idle: Arm) -> None:
    idle.sense(NOW + CYCLE, Reading(states(torque=[0, 0, 1, 0, 0, 0])))
    command = idle.command(NOW + CYCLE)
    assert command is not None
    assert command.release == (ELBOW,)
    assert not command.goals
    assert 'elbow_flex switched its torque on by itself' in idle.fault
    idle.sense(NOW + 2 * CYCLE, Reading(states(torque=[0] * 6)))
    assert idle.command(NOW + 2 * CYCLE) is None
    idle.clear_fault()
    assert idle.state == State.IDLE


def silence(arm: Arm, start: int, seconds: float, silent: tuple[int, ...]) -> int:
    for _ in range(round(seconds * 200)):
        start += CYCLE
        arm.sense(start, Reading(states(), silent))
        written(arm, start)
    return start


def test_a_short_silence_only_slows_the_arm_down(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 0.2), NOW)
    now = silence(holding, NOW, 0.04, (ELBOW,))
    assert not holding.paused
    now = silence(holding, now, 0.2, (ELBOW,))
    assert holding.paused
    assert reference(holding)[0] < 0.05
    assert not holding.fault
    with pytest.raises(UserError, match='a servo does not answer'):
        holding.accept(trajectory(1.0, 0.5), now)
    # It goes on where it was, at the pace that it had.
    fastest = 0.0
    for _ in range(220):
        now = run(holding, now, CYCLE / S)
        assert holding.motion is not None
        fastest = max(fastest, float(holding.motion.velocity[0]))
    assert reference(holding)[0] == pytest.approx(0.2)
    assert fastest < 0.25
    assert not holding.paused


def test_a_servo_that_is_heard_again_does_not_leap_to_where_it_should_have_gone(
    holding: Arm,
) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    now = silence(holding, NOW, 0.6, (ELBOW,))
    assert reference(holding)[ELBOW] > 0.03
    holding.sense(now + CYCLE, Reading(states()))
    command = written(holding, now + CYCLE)
    assert command is not None
    assert command.goals[ELBOW] == REST[ELBOW]


def test_a_silent_servo_is_a_fault_and_hears_no_goals(holding: Arm) -> None:
    now = silence(holding, NOW, 0.6, (ELBOW,))
    assert 'no answer from elbow_flex' in holding.fault
    command = written(holding, now + CYCLE)
    assert command is not None
    assert sorted(command.goals) == [0, 1, 3, 4, 5]
    with pytest.raises(UserError, match='does not answer'):
        holding.clear_fault()
    holding.sense(now + 2 * CYCLE, Reading(states()))
    holding.clear_fault()
    assert holding.state == State.HOLDING


def test_a_blocked_joint_gives_up_its_goal_and_the_gripper_does_not(holding: Arm) -> None:
    holding.accept(trajectory(0.5, 0, 0, 1.0, 0, 0, 0), NOW)
    now = NOW
    for _ in range(400):
        now += CYCLE
        holding.sense(now, Reading(states([2000, 2000, 2100, 2000, 2047, 2900])))
        written(holding, now)
        if holding.fault:
            break
    assert 'elbow_flex is' in holding.fault
    assert 'degrees behind its goal' in holding.fault
    assert 'gripper' not in holding.fault
    command = written(holding, now + CYCLE)
    assert command is not None
    assert command.goals[ELBOW] == 2100


def test_the_gripper_squeezes_gently_what_it_holds(holding: Arm) -> None:
    now = NOW
    for _ in range(200):
        now += CYCLE
        holding.sense(now, Reading(states([*REST[:5], 2400])))
        command = written(holding, now)
        assert command is not None
        if command.torque_limits:
            break
    assert command.torque_limits == {5: 200}
    assert holding.gripper.on_object


def test_a_port_lost_with_torque_is_a_fault_and_the_arm_is_held_when_it_is_back(
    holding: Arm,
) -> None:
    holding.disconnect('the port is gone')
    assert holding.state == State.FAULT
    assert holding.torque
    with pytest.raises(UserError, match='do not answer'):
        holding.clear_fault()
    holding.connect(NOW + S, states([2010, *REST[1:]]), RATINGS)
    command = written(holding, NOW + S + CYCLE)
    assert command is not None
    # The goals that the servos have, so that nothing moves.
    assert list(command.goals.values()) == [2010, *REST[1:]]
    assert holding.state == State.FAULT
    holding.clear_fault()
    assert holding.state == State.HOLDING


def test_servos_that_lost_their_power_meanwhile_are_limp(holding: Arm) -> None:
    holding.disconnect('no answer')
    holding.connect(NOW + S, states(torque=[0] * 6), RATINGS)
    assert not holding.torque
    assert holding.command(NOW + S + CYCLE) is None
    holding.clear_fault()
    assert holding.state == State.IDLE


def test_a_port_lost_without_torque_is_no_fault(idle: Arm) -> None:
    idle.disconnect('the port is gone')
    assert idle.state == State.DISCONNECTED
    idle.connect(NOW + S, states(torque=[0] * 6), RATINGS)
    assert idle.state == State.IDLE


def test_a_joint_that_let_go_by_itself_does_not_leap_back_when_it_recovers(holding: Arm) -> None:
    sagging = [2000, 1700, *REST[2:]]
    for cycle, (ticks, status) in enumerate(((REST, 4), (sagging, 4), (sagging, 0))):
        now = NOW + (cycle + 1) * CYCLE
        holding.sense(now, Reading(states(ticks, status=status)))
        command = written(holding, now)
    assert command is not None
    assert command.goals[LIFT] == 1700


def test_clearing_a_fault_does_not_drop_what_the_gripper_holds(holding: Arm) -> None:
    holding.stop()
    holding.sense(NOW + CYCLE, Reading(states([*REST[:5], 2400])))
    holding.clear_fault()
    command = written(holding, NOW + 2 * CYCLE)
    assert command is not None
    assert command.goals[5] == REST[5]


def test_a_fault_is_not_cleared_while_the_arm_slows_down(holding: Arm) -> None:
    holding.accept(trajectory(1.0, 1.0), NOW)
    now = run(holding, NOW, 0.3)
    holding.stop()
    with pytest.raises(UserError, match='still slowing down'):
        holding.clear_fault()
    run(holding, now, 0.3)
    holding.clear_fault()


def test_a_torque_limit_that_was_lost_on_its_way_is_written_again(holding: Arm) -> None:
    holding.gripper.stalled = True
    command = written(holding, NOW + CYCLE)
    assert command is not None and command.torque_limits == {5: 200}
    command = written(holding, NOW + 2 * CYCLE)
    assert command is not None and not command.torque_limits
    holding.sense(NOW + 3 * CYCLE, Reading(states()))  # the servo says 500
    holding.gripper.stalled = True
    command = written(holding, NOW + 3 * CYCLE)
    assert command is not None and command.torque_limits == {5: 200}


def test_what_is_still_wrong_after_clearing_is_a_fault_again(holding: Arm) -> None:
    holding.fail('something')
    holding._troubled = {(ELBOW, 'lost torque')}
    holding.clear_fault()
    limp = states(torque=[1, 1, 0, 1, 1, 1])
    holding.sense(NOW + CYCLE, Reading(limp))
    assert 'elbow_flex lost its torque' in holding.fault


def test_a_servo_that_goes_on_pulling_by_itself_is_told_again_and_again(idle: Arm) -> None:
    for cycle in range(3):
        now = NOW + (cycle + 1) * CYCLE
        idle.sense(now, Reading(states(torque=[0, 0, 1, 0, 0, 0])))
        command = idle.command(now)
        assert command is not None and command.release == (ELBOW,)


def test_a_limp_joint_a_little_outside_its_limits_gets_a_goal_inside(idle: Arm) -> None:
    assert idle.calibration.inside([980, 3010, 2000, 2000, 2047, 2000]) == [
        1000,
        3000,
        2000,
        2000,
        2047,
        2000,
    ]
