"""The script does the right things in the right order, also with keys and after an error."""

from collections.abc import Callable
from dataclasses import replace
from math import isfinite

import numpy as np
import pytest

from so101_description.joints import HOME
from so101_episodes.notes import Notes
from so101_episodes.powered_arm import ArmFault, OtherDriver, Pose, Stopped
from so101_episodes.session import (
    ZERO_POSE,
    Key,
    Plan,
    Session,
    Source,
    State,
    Unusable,
    successes,
)
from so101_episodes.trials import Trial, trials
from so101_node.error import UserError

ROLLOUTS = Plan(
    source=Source.POLICY,
    trials=[Trial()],
    there=0,
    episode_time=10.0,
    direct_reset=True,
    record=True,
    sim=True,
    start_pause=3.0,
    pause=2.0,
    home=HOME,
)
DEMONSTRATIONS = replace(
    ROLLOUTS, source=Source.TELEOP, sim=False, pause=5.0, trials=[Trial()] * 2
)
POSES = {'home': HOME, 'zero': ZERO_POSE}


class Rig:
    """A session and its robot, which notes what it is told and has a clock of its own.

    `fails` maps such a note to the exception that it causes; `presses` maps the name of a state,
    and of which such state (from 1), to the keys that the person presses in it.
    """

    def __init__(self, plan: Plan, success: float | None = None, **fails: Exception) -> None:
        self.told: list[str] = []
        self.lines: list[str] = []
        self.prompts: list[str] = []
        self.states: list[State] = []
        self.notes: list[Notes] = []
        self.presses: dict[tuple[State, int], list[Key]] = {}
        self.hindrances: list[str] = []  # one for each look
        self._success = success
        self._fails = {name.replace('_', ' '): error for name, error in fails.items()}
        self._time = 0.0
        self._since = 0.0  # when the source began to move the arm
        self.session = Session(plan, self, self.lines.append, self._prompt, self._changed)

    def run(self) -> str:
        self.session.run()
        return ', '.join(self.told)

    def _prompt(self, text: str) -> None:
        self.prompts.append(text)
        self.lines.append(text)

    def _changed(self) -> None:
        if not self.states or self.session.progress.state is not self.states[-1]:
            self.states.append(self.session.progress.state)

    def _note(self, what: str) -> None:
        self.told.append(what)
        if what in self._fails:
            raise self._fails[what]

    def _press(self) -> None:
        """Press what is to be pressed in this state."""
        state = self.session.progress.state
        for key in self.presses.pop((state, self.states.count(state)), []):
            self.session.press(key)

    def now(self) -> float:
        return self._time

    def wait_for_arm(self) -> None:
        self._note('arm')

    def torque(self, on: bool) -> None:
        self._note('torque on' if on else 'torque off')

    def move(self, goal: Pose) -> None:
        self._press()
        self._note(next(name for name, pose in POSES.items() if np.array_equal(pose, goal)))

    def wait_for_clearance(self) -> None:
        self._note('clearance')

    def pause(self, seconds: float) -> None:
        self._note(f'pause {seconds:g}')

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        running = self.session.progress.state is State.RUNNING
        if running:
            self._note('run')
        elif timeout:
            self._note(f'wait {timeout:g}')
        self._press()
        if condition():
            return True
        if running and self._success is not None:
            timeout = self._success
        assert isfinite(timeout), 'nobody presses'
        self._time += timeout
        return condition()

    def wait_for_policy(self, unless: Callable[[], bool]) -> None:
        self._note('policy')

    def checkpoint(self) -> str:
        return 'loaded'

    def use_checkpoint(self, path: str, unless: Callable[[], bool]) -> None:
        self._note(f'use {path}')

    def reset_policy(self) -> None:
        self._note('reset policy')

    def reset_world(self, spot: tuple[float, float] | None) -> None:
        self._note('reset world' if spot is None else 'reset world to spot')

    def lead(self, on: bool) -> None:
        self._note('enable' if on else 'disable')
        self._since = self._time

    def hindrance(self) -> str:
        return self.hindrances.pop(0) if self.hindrances else ''

    def succeeded(self) -> bool:
        return self._success is not None and self._time - self._since >= self._success

    def start_episode(self, notes: Notes) -> str:
        self.notes.append(notes)
        self._note('start')
        return 'recordings/1'

    def end_episode(self, outcome: str) -> str:
        self._note(outcome)
        return 'recordings/1'

    def discard_episode(self) -> None:
        self._note('discard')

    def label(self, outcome: str) -> None:
        self._note(f'label {outcome}')


def test_one_rollout_in_simulation() -> None:
    assert Rig(ROLLOUTS, success=7.25).run() == (
        'arm, wait 3, torque on, home, policy, reset world, reset policy, start, enable, run, '
        'disable, success, home, torque off'
    )


def test_on_a_real_arm_nothing_resets_the_world_and_there_is_time_to_label_the_last() -> None:
    rig = Rig(replace(ROLLOUTS, sim=False))
    assert rig.run() == (
        'arm, wait 3, torque on, home, policy, reset policy, start, enable, run, disable, '
        'unlabelled, home, wait 2, torque off'
    )
    assert rig.states == ['homing', 'waiting', 'ready', 'running', 'label', 'done']


def test_a_demonstration_begins_once_the_arm_follows_and_ends_with_the_arm_held() -> None:
    rig = Rig(replace(DEMONSTRATIONS, trials=[Trial()]))
    rig.presses[State.RUNNING, 1] = [Key.NEXT]
    assert rig.run() == (
        'arm, wait 3, torque on, home, wait 5, enable, start, run, disable, success, home, '
        'torque off'
    )
    assert rig.notes == [Notes('demonstration')]
    assert rig.prompts == [
        'put the object back; next: episode 1 of 1',
        'go: episode 1 of 1',
        '1 of 1 demonstrations are there; of this session: 1 success',
    ]


def test_whoever_else_moves_the_arm_is_left_to_it() -> None:
    plan = replace(DEMONSTRATIONS, source=Source.OTHER, trials=[Trial()], sim=True)
    assert Rig(plan, success=2.0).run() == (
        'arm, wait 3, torque on, home, wait 5, reset world, enable, start, run, disable, '
        'success, home, torque off'
    )


def test_a_demonstration_that_the_simulated_world_sees_no_success_of_is_a_failure() -> None:
    assert 'failure' in Rig(replace(DEMONSTRATIONS, sim=True)).run()


@pytest.mark.parametrize('plan', [ROLLOUTS, DEMONSTRATIONS])
def test_without_recording_no_episode_is_started_or_ended(plan: Plan) -> None:
    notes = Rig(replace(plan, record=False)).run()
    assert 'start' not in notes
    assert 'failure' not in notes
    assert 'unlabelled' not in notes


def test_between_rollouts_there_is_a_pause_and_after_the_last_none() -> None:
    notes = Rig(replace(ROLLOUTS, trials=[Trial()] * 3)).run()
    assert notes.count('enable') == 3
    assert notes.count('home, wait 2, reset world') == 2


def test_an_indirect_reset_rests_at_the_zero_pose() -> None:
    notes = Rig(replace(ROLLOUTS, direct_reset=False)).run()
    assert notes.count('zero, pause 1.5, home') == notes.count('home') == 2


@pytest.mark.parametrize(
    ('success', 'line', 'summary'),
    [
        (7.25, 'success, 7.2 s', '1 of 1 successes (Wilson 95 %: 21 to 100 %)'),
        (None, 'failure, 10.0 s', '0 of 1 successes (Wilson 95 %: 0 to 79 %)'),
    ],
)
def test_each_rollout_is_reported_in_a_line(
    success: float | None, line: str, summary: str
) -> None:
    rig = Rig(ROLLOUTS, success)
    rig.run()
    assert rig.lines == [
        'the arm moves to its home pose in 3 s',
        'waiting for the policy to be ready',
        f'episode 1 of 1: {line}, recordings/1',
        summary,
    ]


def test_the_time_left_is_told_while_there_is_some() -> None:
    rig = Rig(replace(ROLLOUTS, trials=[Trial()] * 20))
    rig.run()
    lines = [line for line in rig.lines if line.startswith('episode')]
    assert lines[0].endswith('; about 3 min left')  # 19 of 10 s
    assert lines[18].endswith('; about 12 s left')
    assert 'left' not in lines[19]


# Keys.


@pytest.mark.parametrize(
    ('plan', 'key', 'outcome'),
    [
        (ROLLOUTS, Key.SUCCEED, 'success'),
        (ROLLOUTS, Key.FAIL, 'failure'),
        (ROLLOUTS, Key.NEXT, 'unlabelled'),
        (DEMONSTRATIONS, Key.NEXT, 'success'),
        (DEMONSTRATIONS, Key.SUCCEED, 'success'),
        (DEMONSTRATIONS, Key.FAIL, 'failure'),
    ],
)
def test_a_key_ends_the_episode_at_once_with_its_label(plan: Plan, key: Key, outcome: str) -> None:
    rig = Rig(plan)
    rig.presses[State.RUNNING, 1] = [key]
    assert f'run, disable, {outcome}, home' in rig.run()
    assert f'episode 1 of {len(plan.trials)}: {outcome}, 0.0 s' in ' '.join(rig.lines)


def test_the_first_key_counts() -> None:
    rig = Rig(ROLLOUTS)
    rig.presses[State.RUNNING, 1] = [Key.FAIL, Key.SUCCEED]
    assert 'disable, failure' in rig.run()


@pytest.mark.parametrize('plan', [replace(ROLLOUTS, trials=[Trial()] * 2), DEMONSTRATIONS])
def test_an_episode_is_discarded_and_made_again(plan: Plan) -> None:
    rig = Rig(plan)
    rig.presses[State.RUNNING, 1] = [Key.AGAIN]
    notes = rig.run()
    assert notes.count('start') == 3
    assert notes.count('discard') == 1
    assert 'episode 1 of 2 is discarded' in rig.prompts
    assert [line.split(':')[0] for line in rig.lines if ' s, recordings' in line] == [
        'episode 1 of 2',
        'episode 2 of 2',
    ]


@pytest.mark.parametrize('plan', [replace(ROLLOUTS, trials=[Trial()] * 9), DEMONSTRATIONS])
def test_the_end_discards_what_runs_and_brings_the_arm_home(plan: Plan) -> None:
    rig = Rig(plan)
    rig.presses[State.RUNNING, 2] = [Key.END]
    assert rig.run().endswith('run, disable, discard, home, torque off')
    assert any(text.endswith('was interrupted and is discarded') for text in rig.prompts)
    assert rig.told.count('start') == 2


def test_what_was_decided_before_the_end_is_kept() -> None:
    rig = Rig(DEMONSTRATIONS)
    rig.presses[State.RUNNING, 1] = [Key.NEXT, Key.END]
    assert rig.run().endswith('run, disable, success, home, torque off')
    assert rig.lines[-1] == '1 of 2 demonstrations are there; of this session: 1 success'


@pytest.mark.parametrize('state', [State.HOMING, State.READY])
def test_the_end_between_episodes_begins_no_other(state: State) -> None:
    rig = Rig(DEMONSTRATIONS)
    rig.presses[State.RUNNING, 1] = [Key.NEXT]
    rig.presses[state, 2] = [Key.END]
    rig.run()
    assert rig.told.count('start') == 1
    assert rig.told[-2:] == [rig.told[-2], 'torque off']
    assert 'discard' not in rig.told


def test_the_end_before_the_arm_moves_leaves_it_alone() -> None:
    rig = Rig(ROLLOUTS)
    rig.session.press(Key.END)
    assert rig.run() == 'arm, wait 3'


def test_the_end_is_heard_while_the_leader_is_waited_for() -> None:
    rig = Rig(DEMONSTRATIONS)
    rig.hindrances = ['the leader is silent'] * 6
    rig.presses[State.WAITING, 1] = [Key.END]
    assert rig.run().endswith('enable, wait 2, wait 2, disable, home, torque off')
    assert 'episode 1 of 2 waits: the leader is silent' in rig.prompts
    assert rig.told.count('start') == 0


@pytest.mark.parametrize('state', [State.LABEL, State.READY])
def test_an_episode_can_be_labelled_until_the_next_one_begins(state: State) -> None:
    rig = Rig(replace(ROLLOUTS, sim=False, trials=[Trial()] * 2))
    rig.presses[state, 1 if state is State.LABEL else 2] = [Key.FAIL, Key.SUCCEED]
    assert 'unlabelled' in rig.run()
    assert [note for note in rig.told if note.startswith('label')] == [
        'label failure',
        'label success',
    ]
    assert 'episode 1 of 2: success' in rig.lines
    assert rig.lines[-1].startswith('1 of 1 successes')
    assert rig.lines[-1].endswith('; 1 without a label')


def test_a_label_given_while_the_episode_is_closed_is_not_lost() -> None:
    rig = Rig(replace(ROLLOUTS, sim=False))
    close = rig.end_episode

    def end_episode(outcome: str) -> str:
        rig.session.press(Key.SUCCEED)
        return close(outcome)

    rig.end_episode = end_episode  # type: ignore[method-assign]
    assert 'unlabelled, label success, home' in rig.run()
    assert rig.lines[-2].startswith('episode 1 of 1: success')


@pytest.mark.parametrize('key', [Key.NEXT, Key.AGAIN, Key.SUCCEED, Key.FAIL])
def test_a_key_that_means_nothing_now_is_refused(key: Key) -> None:
    rig = Rig(ROLLOUTS)
    with pytest.raises(UserError, match='waiting for the arm'):
        rig.session.press(key)


# Demonstrations of several evenings.


def test_resuming_goes_on_up_to_the_total() -> None:
    rig = Rig(replace(DEMONSTRATIONS, trials=[Trial()] * 14, there=12))
    rig.run()
    assert rig.lines[0] == '12 of 14 are there'
    assert rig.told.count('start') == 2
    assert [text for text in rig.prompts if text.startswith('go')] == [
        'go: episode 13 of 14',
        'go: episode 14 of 14',
    ]
    assert rig.lines[-1] == ('14 of 14 demonstrations are there; of this session: 2 unlabelled')


@pytest.mark.parametrize('there', [2, 3])
def test_with_all_there_nothing_moves(there: int) -> None:
    rig = Rig(replace(DEMONSTRATIONS, there=there))
    assert rig.run() == ''
    assert rig.lines == [f'{there} of 2 are there', 'nothing is left to be done']


# Evaluation.


def test_a_checkpoint_is_changed_only_where_it_differs_and_is_noted() -> None:
    plan = replace(ROLLOUTS, trials=[Trial('a'), Trial('a'), Trial('b')])
    rig = Rig(plan, success=2.0)
    rig.run()
    assert [note for note in rig.told if note.startswith('use')] == ['use a', 'use b']
    assert [notes.kind for notes in rig.notes] == ['rollout'] * 3
    assert rig.lines[-2:] == [
        'a: 2 of 2 successes (Wilson 95 %: 34 to 100 %)',
        'b: 1 of 1 successes (Wilson 95 %: 21 to 100 %)',
    ]


def test_the_policy_says_which_checkpoint_it_has() -> None:
    rig = Rig(ROLLOUTS)
    rig.run()
    assert rig.notes == [Notes('rollout', 'loaded', '')]


def test_a_checkpoint_that_cannot_be_used_is_left_out_and_said_at_the_end() -> None:
    plan = replace(ROLLOUTS, trials=trials(['a', 'b'], 0, 3, seed=1))
    rig = Rig(plan, use_a=Unusable('a has no weights'))
    with pytest.raises(UserError, match='a was left out: a has no weights'):
        rig.run()
    assert rig.told.count('use a') == 1
    assert rig.told.count('start') == 3
    assert rig.told[-1] == 'torque off'


def test_after_an_unusable_checkpoint_the_one_before_is_asked_for_again() -> None:
    plan = replace(ROLLOUTS, trials=[Trial('b'), Trial('a'), Trial('b')])
    rig = Rig(plan, use_a=Unusable('no'))
    with pytest.raises(UserError):
        rig.run()
    assert [note for note in rig.told if note.startswith('use')] == ['use b', 'use a', 'use b']


def test_at_a_table_the_object_is_put_where_it_belongs_before_anything_goes_on() -> None:
    plan = replace(ROLLOUTS, sim=False, trials=trials([''], 4, 1, seed=0))
    place = plan.trials[0].place
    rig = Rig(plan)
    rig.presses[State.READY, 1] = [Key.NEXT]
    assert 'wait inf, reset policy' in rig.run()
    assert rig.prompts[0].startswith(f'put the object at place {place}, then press right')
    assert rig.notes[0].place == str(place)


def test_in_simulation_the_object_is_put_there() -> None:
    rig = Rig(replace(ROLLOUTS, trials=trials([''], 4, 2, seed=0)))
    assert rig.run().count('reset world to spot') == 2
    assert len(rig.prompts) == 1  # the summary


def test_a_rate_without_a_labelled_episode_is_none() -> None:
    assert successes(0, 0) == '0 of 0 successes'
    assert successes(4, 1) == '4 of 5 successes (Wilson 95 %: 38 to 96 %)'


# Errors.


@pytest.mark.parametrize('step', ['enable', 'run', 'disable'])
def test_an_error_while_the_policy_runs_ends_everything_and_comes_first(step: str) -> None:
    rig = Rig(ROLLOUTS, **{step: UserError('no')})
    with pytest.raises(UserError, match='no'):
        rig.run()
    assert rig.told[-4:] == ['disable', 'unlabelled', 'home', 'torque off']


def test_half_a_demonstration_is_not_kept() -> None:
    rig = Rig(DEMONSTRATIONS, run=UserError('no'))
    with pytest.raises(UserError, match='no'):
        rig.run()
    assert rig.told[-4:] == ['disable', 'discard', 'home', 'torque off']


def test_an_error_on_the_way_out_of_an_error_hides_neither() -> None:
    rig = Rig(ROLLOUTS, run=UserError('first'), torque_off=UserError('second'))
    with pytest.raises(UserError, match='first'):
        rig.run()
    assert rig.lines[2:] == ['and then: second']


@pytest.mark.parametrize('step', ['torque_on', 'home', 'policy', 'reset_world', 'start'])
def test_torque_is_off_after_every_error(step: str) -> None:
    rig = Rig(ROLLOUTS, **{step: UserError('no')})
    with pytest.raises(UserError):
        rig.run()
    assert rig.told[-2:] == ['home', 'torque off']
    assert 'enable' not in rig.told


def test_what_was_made_before_an_error_is_summed_up() -> None:
    rig = Rig(replace(ROLLOUTS, trials=[Trial()] * 2), wait_2=UserError('no'))
    with pytest.raises(UserError):
        rig.run()
    assert rig.lines[-1].startswith('0 of 1 successes')


def test_without_an_arm_nothing_is_tried() -> None:
    rig = Rig(ROLLOUTS, arm=UserError('no arm'))
    with pytest.raises(UserError, match='no arm'):
        rig.run()
    assert rig.told == ['arm']


def test_when_stopped_the_script_does_no_more() -> None:
    rig = Rig(ROLLOUTS, run=Stopped())
    with pytest.raises(Stopped):
        rig.run()
    assert rig.told[-1] == 'run'


def test_an_arm_that_was_stopped_is_held_until_that_is_cleared() -> None:
    rig = Rig(replace(ROLLOUTS, sim=False), run=ArmFault('stopped'))
    with pytest.raises(UserError, match='stopped'):
        rig.run()
    assert rig.told[-5:] == ['disable', 'unlabelled', 'clearance', 'home', 'torque off']
    assert rig.lines[-1] == 'stopped. The arm is held; Ctrl-C lets go of it'


def test_nobody_holds_a_simulated_arm() -> None:
    rig = Rig(ROLLOUTS, run=ArmFault('stopped'))
    with pytest.raises(UserError, match='stopped'):
        rig.run()
    assert 'clearance' not in rig.told


def test_beside_another_driver_nothing_is_told_to_anybody() -> None:
    rig = Rig(ROLLOUTS, arm=OtherDriver('two'))
    with pytest.raises(OtherDriver):
        rig.run()
    assert rig.told == ['arm']


def test_a_label_that_comes_when_the_next_episode_begins_reaches_neither() -> None:
    class Late(Rig):
        def start_episode(self, notes: Notes) -> str:
            if self.told.count('start'):
                with pytest.raises(UserError, match='too late for episode 1 of 2: episode 2 of 2'):
                    self.session.press(Key.FAIL)
            return super().start_episode(notes)

    told = Late(replace(ROLLOUTS, trials=[Trial()] * 2), success=1.0).run()
    assert 'label' not in told
    assert told.count('success') == 2


@pytest.mark.parametrize(('pressed', 'outcome'), [([Key.SUCCEED], 'success'), ([], 'unlabelled')])
def test_a_demonstration_that_was_over_is_kept_after_an_error(
    pressed: list[Key], outcome: str
) -> None:
    rig = Rig(replace(DEMONSTRATIONS, trials=[Trial()]), disable=UserError('teleop is gone'))
    rig.presses[State.RUNNING, 1] = pressed
    with pytest.raises(UserError, match='teleop is gone'):
        rig.run()
    assert outcome in rig.told
    assert 'discard' not in rig.told


def test_a_leader_that_is_lost_in_an_episode_is_told_once() -> None:
    rig = Rig(replace(DEMONSTRATIONS, trials=[Trial()]))
    rig.hindrances = ['', 'the leader is silent', 'the leader is silent']
    rig.run()
    said = [line for line in rig.prompts if 'nobody leads the arm' in line]
    assert said == ['episode 1 of 1: nobody leads the arm: the leader is silent']


def test_a_reason_given_in_a_pause_is_about_the_episode_before() -> None:
    judged = []

    class Asked(Rig):
        def _press(self) -> None:
            judged.append((self.session.progress.state, self.session.judged))

    Asked(replace(ROLLOUTS, trials=[Trial()] * 2, sim=False)).run()
    assert (State.RUNNING, 1) in judged
    assert (State.READY, 1) in judged
    assert (State.RUNNING, 2) in judged
    assert judged[-1] == (State.LABEL, 2)
