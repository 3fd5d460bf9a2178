"""The script does the right things in the right order, also after an error."""

from dataclasses import replace

import numpy as np
import pytest

from so101_description.joints import HOME
from so101_episodes.rollouts import ZERO_POSE, ArmFault, OtherDriver, Plan, Pose, Stopped, roll_out
from so101_node.error import UserError

PLAN = Plan(
    num_rollouts=1,
    episode_time=10.0,
    direct_reset=True,
    record=True,
    sim=True,
    start_pause=3.0,
    pause_between=2.0,
    home=HOME,
)
POSES = {'home': HOME, 'zero': ZERO_POSE}


class FakeRobot:
    """Notes what it is told; `fails` maps such a note to the exception that it causes."""

    def __init__(self, success: float | None = None, **fails: Exception) -> None:
        self.told: list[str] = []
        self._success = success
        self._fails = {name.replace('_', ' '): error for name, error in fails.items()}

    def _note(self, what: str) -> None:
        self.told.append(what)
        if what in self._fails:
            raise self._fails[what]

    def wait_for_arm(self) -> None:
        self._note('arm')

    def torque(self, on: bool) -> None:
        self._note('torque on' if on else 'torque off')

    def move(self, goal: Pose) -> None:
        self._note(next(name for name, pose in POSES.items() if np.array_equal(pose, goal)))

    def wait_for_policy(self) -> None:
        self._note('policy')

    def reset_world(self) -> None:
        self._note('reset world')

    def reset_policy(self) -> None:
        self._note('reset policy')

    def start_episode(self) -> None:
        self._note('start')

    def enable_policy(self, on: bool) -> None:
        self._note('enable' if on else 'disable')

    def wait_for_success(self, timeout: float) -> float | None:
        self._note('run')
        return self._success

    def end_episode(self, outcome: str) -> str:
        self._note(outcome)
        return 'recordings/1'

    def wait_for_clearance(self) -> None:
        self._note('clearance')

    def pause(self, seconds: float) -> None:
        self._note(f'pause {seconds:g}')


def told(plan: Plan, robot: FakeRobot) -> str:
    roll_out(plan, robot, lambda _: None)
    return ', '.join(robot.told)


def test_one_rollout_in_simulation() -> None:
    assert told(PLAN, FakeRobot(success=7.25)) == (
        'arm, pause 3, torque on, home, policy, reset world, reset policy, start, enable, run, '
        'disable, success, home, torque off'
    )


def test_on_a_real_arm_nobody_judges_and_nothing_resets_the_world() -> None:
    assert told(replace(PLAN, sim=False), FakeRobot()) == (
        'arm, pause 3, torque on, home, policy, reset policy, start, enable, run, disable, '
        'unlabelled, home, torque off'
    )


def test_without_recording_no_episode_is_started_or_ended() -> None:
    notes = told(replace(PLAN, record=False), FakeRobot())
    assert 'start' not in notes
    assert 'failure' not in notes


def test_between_rollouts_there_is_a_pause_and_after_the_last_none() -> None:
    notes = told(replace(PLAN, num_rollouts=3), FakeRobot())
    assert notes.count('enable') == 3
    assert notes.count('home, pause 2, reset world') == 2


def test_an_indirect_reset_rests_at_the_zero_pose() -> None:
    notes = told(replace(PLAN, direct_reset=False), FakeRobot())
    assert notes.count('zero, pause 1.5, home') == notes.count('home') == 2


@pytest.mark.parametrize(
    ('success', 'line'),
    [
        (7.25, 'rollout 1 of 1: success, 7.2 s, recordings/1'),
        (None, 'rollout 1 of 1: failure, 10.0 s, recordings/1'),
    ],
)
def test_each_rollout_is_reported_in_a_line(success: float | None, line: str) -> None:
    lines: list[str] = []
    roll_out(PLAN, FakeRobot(success), lines.append)
    announced = 'the arm moves to its home pose in 3 s'
    assert lines == [announced, 'waiting for the policy to be ready', line]


@pytest.mark.parametrize('step', ['enable', 'run', 'disable'])
def test_an_error_while_the_policy_runs_ends_everything_and_comes_first(step: str) -> None:
    robot = FakeRobot(**{step: UserError('no')})
    with pytest.raises(UserError, match='no'):
        roll_out(PLAN, robot, lambda _: None)
    assert robot.told[-4:] == ['disable', 'unlabelled', 'home', 'torque off']


def test_an_error_on_the_way_out_of_an_error_hides_neither() -> None:
    robot = FakeRobot(run=UserError('first'), torque_off=UserError('second'))
    lines: list[str] = []
    with pytest.raises(UserError, match='first'):
        roll_out(PLAN, robot, lines.append)
    assert lines[2:] == ['and then: second']


@pytest.mark.parametrize('step', ['torque_on', 'home', 'policy', 'reset_world', 'start'])
def test_torque_is_off_after_every_error(step: str) -> None:
    robot = FakeRobot(**{step: UserError('no')})
    with pytest.raises(UserError):
        roll_out(PLAN, robot, lambda _: None)
    assert robot.told[-2:] == ['home', 'torque off']
    assert 'enable' not in robot.told


def test_without_an_arm_nothing_is_tried() -> None:
    robot = FakeRobot(arm=UserError('no arm'))
    with pytest.raises(UserError, match='no arm'):
        roll_out(PLAN, robot, lambda _: None)
    assert robot.told == ['arm']


def test_when_stopped_the_script_does_no_more() -> None:
    robot = FakeRobot(run=Stopped())
    with pytest.raises(Stopped):
        roll_out(PLAN, robot, lambda _: None)
    assert robot.told[-1] == 'run'


def test_an_arm_that_was_stopped_is_held_until_that_is_cleared() -> None:
    robot = FakeRobot(run=ArmFault('stopped'))
    lines: list[str] = []
    with pytest.raises(UserError, match='stopped'):
        roll_out(replace(PLAN, sim=False), robot, lines.append)
    assert robot.told[-5:] == ['disable', 'unlabelled', 'clearance', 'home', 'torque off']
    assert lines[-1] == 'stopped. The arm is held; Ctrl-C lets go of it'


def test_nobody_holds_a_simulated_arm() -> None:
    robot = FakeRobot(run=ArmFault('stopped'))
    with pytest.raises(UserError, match='stopped'):
        roll_out(PLAN, robot, lambda _: None)
    assert 'clearance' not in robot.told


def test_beside_another_driver_nothing_is_told_to_anybody() -> None:
    robot = FakeRobot(arm=OtherDriver('two'))
    with pytest.raises(OtherDriver):
        roll_out(PLAN, robot, lambda _: None)
    assert robot.told == ['arm']
