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

LET_GO = Switch(Arm.LEADER, False)
FOLLOWER_FIRST = [Switch(Arm.FOLLOWER, True), LET_GO]
LEADER_FIRST = [Switch(Arm.FOLLOWER, True), Switch(Arm.LEADER, True)]


class Bench:
    """A teleop between two arms that go where they are sent at once."""

    def __init__(self, start: Start = Start.FOLLOWER_TO_LEADER) -> None:
        self.teleop = Teleop(start, SPEED)
        self.now = 1_700_000_000_000_000_000
        self.leader: Pose | None = np.full(6, 0.3)
        self.follower: Pose = np.zeros(6)
        self.torque = True
        self.paused = False  # its driver holds it: it does not go where it is sent
        self.sent: list[Command | None] = []
        self.switches: list[Switch] = []
        self.teleop.report(Arm.FOLLOWER, 'holding', '')

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += STEP
            if self.torque:
                self.teleop.hold(self.now, self.follower)
            self.teleop.check(self.now)
            command = None
            if self.leader is not None:
                command = self.teleop.lead(self.now, self.now, self.leader)
            self.sent.append(command)
            if command is not None and command.arm is Arm.FOLLOWER:
                self.follower = self.follower if self.paused else command.pose
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
    assert following.follower == pytest.approx(angle + HORIZON)
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
    assert bench.switches == [*LEADER_FIRST, LET_GO]
    assert bench.leader == pytest.approx(np.zeros(6), abs=RAMP_STEP)
    assert bench.follower == pytest.approx(np.zeros(6), abs=RAMP_STEP)


def test_a_leader_that_does_not_come_is_not_let_go_of() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    for _ in range(1000):
        bench.step()
        bench.leader = np.full(6, 0.3)  # held fast
    assert (bench.teleop.state, bench.switches) == (State.LEADING, LEADER_FIRST)


def test_a_leader_in_fault_says_so_and_comes_once_it_is_cleared() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    bench.until(State.LEADING)
    bench.teleop.report(Arm.LEADER, 'fault', 'stopped by arm/stop')
    bench.step(10)
    assert bench.sent[-10:] == [None] * 10
    assert bench.teleop.state is State.WAITING
    assert bench.teleop.reason == 'the leader is in fault: stopped by arm/stop'
    bench.teleop.report(Arm.LEADER, 'idle', '')
    bench.step(10)
    assert 'switch it on with leader/arm/torque' in bench.teleop.reason
    bench.teleop.report(Arm.LEADER, 'holding', '')
    bench.until(State.FOLLOWING)
    assert bench.switches == [*LEADER_FIRST, LET_GO]


def test_a_fault_of_a_leader_in_the_hand_is_no_reason_to_stop(following: Bench) -> None:
    following.teleop.report(Arm.LEADER, 'fault', 'stopped by arm/stop')
    following.step(10)
    assert following.teleop.state is State.FOLLOWING


@pytest.mark.parametrize('absent', [False, True])
def test_a_leader_on_its_way_is_let_go_of_when_teleop_is_disabled(absent: bool) -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    bench.until(State.LEADING)
    if absent:
        bench.teleop.report(Arm.FOLLOWER, 'disconnected', '')
    bench.teleop.enable(False)
    bench.step(10)
    assert bench.switches == [*LEADER_FIRST, LET_GO]
    assert (bench.teleop.state, bench.sent[-10:]) == (State.OFF, [None] * 10)


def test_a_leader_that_is_being_switched_when_teleop_is_disabled_is_let_go_of() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    while LEADER_FIRST[0] not in bench.switches:
        bench.step()
    assert bench.teleop.next_switch(bench.now) == Switch(Arm.LEADER, True)
    bench.teleop.enable(False)
    bench.teleop.switched(Switch(Arm.LEADER, True))  # the answer comes too late
    assert bench.teleop.next_switch(bench.now) == LET_GO
    bench.teleop.switched(LET_GO, 'a servo does not confirm it')
    assert bench.teleop.next_switch(bench.now) is None
    assert 'a servo does not confirm it' in bench.teleop.reason


def test_a_leader_that_was_never_held_is_left_alone(bench: Bench) -> None:
    bench.teleop.enable(True)
    bench.teleop.enable(False)
    bench.step(10)
    assert bench.switches == []


def test_a_torque_that_nobody_switches_is_the_reason_until_it_is_switched(bench: Bench) -> None:
    bench.teleop.enable(True)
    assert bench.leader is not None
    bench.teleop.lead(bench.now, bench.now, bench.leader)
    bench.teleop.unanswered('arm/torque is not served: start the driver of the follower')
    bench.teleop.check(bench.now)
    assert bench.teleop.reason == 'arm/torque is not served: start the driver of the follower'
    assert bench.teleop.next_switch(bench.now) == FOLLOWER_FIRST[0]
    bench.until(State.FOLLOWING)
    assert bench.teleop.reason == ''


def test_a_leader_that_nobody_lets_go_of_is_the_reason_even_when_it_is_off() -> None:
    bench = Bench(Start.LEADER_TO_FOLLOWER)
    bench.teleop.enable(True)
    bench.until(State.LEADING)
    bench.teleop.enable(False)
    bench.teleop.unanswered('leader/arm/torque has not answered')
    bench.teleop.check(bench.now)
    assert bench.teleop.reason == 'leader/arm/torque has not answered'
    bench.step()
    assert (bench.switches[-1], bench.teleop.reason) == (LET_GO, '')


def test_a_silent_leader_ends_the_sending_and_its_return_is_a_ramp(following: Bench) -> None:
    leader, following.leader = following.leader, None
    following.step(SILENCE // STEP)
    assert following.teleop.state is State.FOLLOWING
    following.step()
    assert following.teleop.state is State.WAITING
    assert 'the leader is silent' in following.teleop.reason
    count = len(following.sent)
    following.leader = leader + 0.15  # less than a jump
    following.step(2)
    assert following.teleop.state is State.RAMPING
    following.until(State.FOLLOWING)
    assert following.steps_of_the_follower().max() <= RAMP_STEP
    assert any(command is not None for command in following.sent[count:])
    assert following.teleop.interruptions == 1
    assert 'the leader is silent' in following.teleop.last_interruption


def test_a_silence_that_no_timer_has_seen_is_found_by_the_next_state(following: Bench) -> None:
    following.now += 2 * SILENCE
    following.teleop.hold(following.now, following.follower)
    following.leader = following.follower + 0.15
    assert following.teleop.lead(following.now, following.now, following.leader) is None
    following.step()
    assert following.teleop.state is State.RAMPING
    assert following.sent[-1] is not None
    assert following.steps_of_the_follower().max() <= RAMP_STEP
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
    following.teleop.report(Arm.FOLLOWER, 'fault', 'elbow_flex reports overload')
    following.step(10)
    assert following.sent[-10:] == [None] * 10
    assert following.teleop.reason == 'the follower is in fault: elbow_flex reports overload'
    following.teleop.report(Arm.FOLLOWER, 'holding', '')
    following.leader = np.full(6, 0.4)
    following.step(2)
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


@pytest.mark.parametrize('speaks', [True, False])
def test_a_follower_that_stood_still_meanwhile_does_not_leap(
    following: Bench, speaks: bool
) -> None:
    following.paused, following.torque = True, speaks
    held = following.follower
    for angle in np.linspace(0.3, 1.2, 90):  # 2 rad/s for 0.45 s
        following.leader = np.full(6, angle)
        following.step()
    assert following.teleop.interruptions >= 1
    following.paused, following.torque = False, True
    following.sent.clear()
    following.until(State.FOLLOWING)
    first = next(command for command in following.sent if command is not None)
    assert np.abs(first.pose - held).max() <= JUMP
    assert following.steps_of_the_follower().max() <= 0.01 + RAMP_STEP  # the hand comes to rest


def test_a_leader_beyond_the_followers_limits_holds_that_joint_there_and_no_other(
    following: Bench,
) -> None:
    following.teleop.bound(np.full(6, -0.5), np.full(6, 0.5))
    for angle in np.arange(0.3, 1.5, 0.005):
        following.leader = np.array([0.2 + angle / 10, *[0.3] * 4, angle])
        following.step()
    assert following.teleop.state is State.FOLLOWING
    assert following.teleop.interruptions == 0
    assert following.follower[5] == 0.5
    assert following.follower[0] == pytest.approx(0.35, abs=0.002)


def test_no_torque_is_switched_before_both_arms_are_there(bench: Bench) -> None:
    leader, bench.leader = bench.leader, None
    bench.teleop.enable(True)
    bench.step(5)
    assert (bench.switches, bench.teleop.reason) == ([], 'the leader is silent: see its driver')
    bench.teleop.report(Arm.FOLLOWER, 'disconnected', '')
    bench.leader = leader
    bench.step(5)
    assert bench.switches == []
    assert bench.teleop.reason == 'the servos of the follower do not answer'
    bench.teleop.report(Arm.FOLLOWER, 'holding', '')
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
