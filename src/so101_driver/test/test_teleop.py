"""Teleoperation: never a jump, and nothing sent for which there is a reason not to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import JOINTS
from so101_driver.teleop import (
    ACCELERATION,
    HORIZON,
    JUMP,
    SILENCE,
    Arm,
    Command,
    Pose,
    Ramp,
    Start,
    State,
    Switch,
    Teleop,
    pose,
)
from so101_node.error import UserError

STEP = 5_000_000  # ns: 200 Hz
SPEED = 0.5  # rad/s
# Radians from one pose to the next on a ramp; each is where the way leads within HORIZON.
RAMP_STEP = (SPEED + ACCELERATION * HORIZON) * STEP * 1e-9 + 1e-9

FOLLOWER_FIRST = [Switch(Arm.FOLLOWER, True), Switch(Arm.LEADER, False)]
LEADER_FIRST = [Switch(Arm.FOLLOWER, True), Switch(Arm.LEADER, True)]


class Bench:
    """A teleop between two arms that go where they are sent at once."""

    def __init__(self, start: Start = Start.FOLLOWER_TO_LEADER) -> None:
        self.teleop = Teleop(start, SPEED)
        self.now = 1_700_000_000_000_000_000
        self.leader: Pose | None = np.full(6, 0.3)
        self.follower = np.zeros(6)
        self.torque = True
        self.sent: list[Command | None] = []
        self.switches: list[Switch] = []
        self.teleop.report(connected=True, fault='')

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += STEP
            if self.torque:
                following = self.teleop.state is State.FOLLOWING
                self.teleop.hold(self.now, None if following else self.follower)
            self.teleop.check(self.now)
            command = None
            if self.leader is not None:
                command = self.teleop.lead(self.now, self.now, self.leader)
            self.sent.append(command)
            if command is not None and command.arm is Arm.FOLLOWER:
                self.follower = command.pose
            elif command is not None:
                self.leader = command.pose
            if (switch := self.teleop.next_switch(self.now)) is not None:
                self.switches.append(switch)
                self.teleop.switched(switch)

    def until(self, state: State, limit: int = 2000) -> None:
        for _ in range(limit):
            if self.teleop.state is state:
                return
            self.step()
        raise AssertionError(f'{self.teleop.state}, {self.teleop.reason!r}, not {state}')

    def steps_of_the_follower(self) -> np.ndarray:
        """Return the longest way of a joint from each pose sent to the next."""
        poses = [c.pose for c in self.sent if c is not None and c.arm is Arm.FOLLOWER]
        return np.abs(np.diff(poses, axis=0)).max(axis=1)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def following(bench: Bench) -> Bench:
    bench.teleop.enable(True)
    bench.until(State.FOLLOWING)
    bench.step()
    return bench


def test_it_is_off_until_it_is_enabled(bench: Bench) -> None:
    bench.step(10)
    assert bench.sent == [None] * 10
    assert (bench.teleop.state, bench.switches) == (State.OFF, [])


def test_the_follower_goes_to_the_leader_and_then_follows(following: Bench) -> None:
    assert following.switches == FOLLOWER_FIRST
    assert following.leader is not None
    following.step(5)
    assert following.follower == pytest.approx(following.leader)
    assert following.steps_of_the_follower().max() <= RAMP_STEP
    assert (following.teleop.reason, following.teleop.interruptions) == ('', 0)


def test_the_follower_is_sent_to_where_the_leader_will_be(following: Bench) -> None:
    for angle in np.arange(0.3, 1.0, 0.005):  # 1 rad/s
        following.leader = np.full(6, angle)
        following.step()
        assert (following.follower >= angle).all()
        assert (following.follower <= angle + HORIZON + 1e-9).all()
    assert following.follower == pytest.approx(following.leader + HORIZON)
    following.step(5)
    assert following.follower == pytest.approx(following.leader)


def test_a_leader_that_never_rests_is_followed_and_caught(bench: Bench) -> None:
    bench.teleop.enable(True)
    pace = 0.01  # rad from state to state: 2 rad/s, faster than the ramp
    for step in range(100):
        bench.leader = np.full(6, 1.0 + pace * step)
        bench.step()
    assert bench.teleop.state is State.RAMPING
    for step in range(100, 600):
        bench.leader = np.full(6, 1.0 + pace * step)
        bench.step()
    assert bench.teleop.state is State.FOLLOWING
    assert bench.steps_of_the_follower()[1:].max() <= pace + RAMP_STEP


def test_the_leader_goes_to_the_follower_is_let_go_of_and_followed() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    bench.until(State.LEADING)
    assert bench.switches == LEADER_FIRST
    bench.until(State.FOLLOWING)
    assert bench.switches == [*LEADER_FIRST, Switch(Arm.LEADER, False)]
    assert bench.leader == pytest.approx(np.zeros(6), abs=RAMP_STEP)
    assert bench.follower == pytest.approx(np.zeros(6), abs=RAMP_STEP)


def test_a_leader_that_does_not_come_is_not_let_go_of() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    for _ in range(1000):
        bench.step()
        bench.leader = np.full(6, 0.3)  # held fast
    assert (bench.teleop.state, bench.switches) == (State.LEADING, LEADER_FIRST)


def test_a_silent_leader_ends_the_sending_and_its_return_is_a_ramp(following: Bench) -> None:
    leader, following.leader = following.leader, None
    following.step(SILENCE // STEP)
    assert following.teleop.state is State.FOLLOWING
    following.step()
    assert following.teleop.state is State.WAITING
    assert 'the leader is silent' in following.teleop.reason
    count = len(following.sent)
    following.leader = leader + 0.15  # less than a jump
    following.step()
    assert following.teleop.state is State.RAMPING
    following.until(State.FOLLOWING)
    assert following.steps_of_the_follower().max() <= RAMP_STEP
    assert any(command is not None for command in following.sent[count:])
    assert following.teleop.interruptions == 1
    assert 'the leader is silent' in following.teleop.last_interruption


def test_a_silence_that_no_timer_has_seen_is_found_by_the_next_state(following: Bench) -> None:
    following.now += 2 * SILENCE
    following.teleop.hold(following.now, following.follower)
    command = following.teleop.lead(following.now, following.now, following.follower + 0.15)
    assert following.teleop.state is State.RAMPING
    assert command is not None
    assert command.pose == pytest.approx(following.follower, abs=SPEED * 0.05)
    assert following.teleop.interruptions == 1


def test_a_jump_of_the_leader_is_a_ramp(following: Bench) -> None:
    assert following.leader is not None
    following.leader = following.leader + np.eye(6)[2] * 1.01 * JUMP
    following.step()
    assert (following.sent[-1], following.teleop.state) == (None, State.WAITING)
    following.step()
    assert following.teleop.state is State.RAMPING
    assert 'elbow_flex of the leader jumped by 12 degrees' in following.teleop.last_interruption
    following.until(State.FOLLOWING)
    assert following.steps_of_the_follower().max() <= RAMP_STEP


def test_a_fault_of_the_follower_ends_the_sending_until_it_is_cleared(following: Bench) -> None:
    following.teleop.report(connected=True, fault='elbow_flex reports overload')
    following.step(10)
    assert following.sent[-10:] == [None] * 10
    assert following.teleop.reason == 'the follower is in fault: elbow_flex reports overload'
    following.teleop.report(connected=True, fault='')
    following.leader = np.full(6, 0.4)
    following.step()
    assert following.teleop.state is State.RAMPING


def test_a_follower_that_lost_its_torque_is_not_switched_on_by_itself(following: Bench) -> None:
    following.torque = False
    following.step(SILENCE // STEP + 10)
    assert (following.teleop.state, following.switches) == (State.WAITING, FOLLOWER_FIRST)
    assert 'switch it on with arm/torque' in following.teleop.reason
    following.torque, following.follower = True, following.follower - 0.5  # it sank meanwhile
    following.step()
    assert following.teleop.state is State.RAMPING
    following.until(State.FOLLOWING)


def test_no_torque_is_switched_before_both_arms_are_there(bench: Bench) -> None:
    leader, bench.leader = bench.leader, None
    bench.teleop.enable(True)
    bench.step(5)
    assert (bench.switches, bench.teleop.reason) == ([], 'the leader is silent: see its driver')
    bench.teleop.report(connected=False, fault='')
    bench.leader = leader
    bench.step(5)
    assert bench.switches == []
    assert bench.teleop.reason == 'the servos of the follower do not answer'
    bench.teleop.report(connected=True, fault='')
    bench.until(State.FOLLOWING)


def test_a_refused_torque_switches_it_off_with_the_reason(bench: Bench) -> None:
    bench.teleop.enable(True)
    assert bench.leader is not None
    bench.teleop.lead(bench.now, bench.now, bench.leader)
    assert bench.teleop.next_switch(bench.now) == FOLLOWER_FIRST[0]
    bench.teleop.switched(FOLLOWER_FIRST[0], 'gripper is outside its limits')
    assert bench.teleop.state is State.OFF
    assert bench.teleop.reason == (
        "the follower's torque: gripper is outside its limits; then teleop/enable"
    )
    bench.teleop.enable(True)
    bench.until(State.FOLLOWING)


def test_disabled_it_sends_nothing_and_enabled_again_it_ramps(following: Bench) -> None:
    following.teleop.enable(False)
    following.leader = np.full(6, 1.0)
    following.step(10)
    assert following.sent[-10:] == [None] * 10
    following.teleop.enable(True)
    following.until(State.FOLLOWING)
    assert following.steps_of_the_follower().max() <= RAMP_STEP


@pytest.mark.parametrize('age', [SILENCE + 1, -SILENCE - 1])
def test_a_state_of_another_time_is_refused(following: Bench, age: int) -> None:
    with pytest.raises(UserError, match='s old'):
        following.teleop.lead(following.now, following.now - age, np.zeros(6))


@pytest.mark.parametrize(
    ('names', 'positions', 'message'),
    [
        (JOINTS, [0.0] * 5, 'it has 5 positions, not 6'),
        (JOINTS, [], 'it has 0 positions, not 6'),
        (JOINTS, [0.0] * 5 + [np.nan], 'not finite'),
        (JOINTS, [np.inf] * 6, 'not finite'),
        (JOINTS[::-1], [0.0] * 6, 'its joints are gripper'),
        ([], [0.0] * 6, 'its joints are'),
    ],
)
def test_what_is_no_pose_is_refused(
    names: list[str], positions: list[float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pose(names, positions)


@given(
    st.lists(st.floats(-3, 3), min_size=6, max_size=6),
    st.lists(st.floats(-3, 3), min_size=6, max_size=6),
    st.lists(st.floats(0.001, 0.05), min_size=10, max_size=50),
)
def test_a_ramp_keeps_its_speed_and_acceleration_and_arrives(
    start: list[float], goal: list[float], pauses: list[float]
) -> None:
    pose, target = np.array(start), np.array(goal)
    ramp = Ramp(pose, target, SPEED)
    speed = 0.0
    for count in range(20_000):
        seconds = pauses[count % len(pauses)]
        before, pose = pose, ramp.step(target, seconds)
        way = np.abs(pose - before).max()
        assert way <= SPEED * seconds + 1e-9
        assert way / seconds <= speed + ACCELERATION * seconds + 1e-6
        speed = way / seconds
        assert (np.abs(target - pose) <= np.abs(target - before) + 1e-9).all()
        if ramp.over:
            break
    assert ramp.over
    assert (pose == target).all()
