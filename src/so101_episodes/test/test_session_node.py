"""The session node against a driver, policy, leader, recorder and world that the test plays."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from so101_description.joints import HOME, JOINTS
from so101_episodes.episode import Episode
from so101_episodes.session_node import Parameters, plan
from so101_episodes.trials import trials
from so101_node.error import UserError
from so101_node.stamp import from_nanoseconds, to_nanoseconds
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_NOTES,
    EPISODE_REASON,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    POLICY_CHECKPOINT,
    POLICY_ENABLE,
    POLICY_RESET,
    REFERENCE,
    SESSION_AGAIN,
    SESSION_END,
    SESSION_FAIL,
    SESSION_NEXT,
    SESSION_SUCCEED,
    SIM_PLACE,
    SIM_RESET,
    SIM_STATE,
    SIM_SUCCESS,
    TASK,
    TELEOP_ENABLE,
    Service,
)

MODULE = 'so101_episodes.session_node'
QUICK = {
    'episode_time': 0.5,
    'start_pause': 0.0,
    'pause_between': 0.0,
    'reset_time': 0.0,
    'direct_reset': 'true',
    'sim': 'true',
}
LONG = {**QUICK, 'episode_time': 60.0}


class World:
    """Answers every service, notes the calls, and has an arm that is where it was told to be."""

    def __init__(self, graph: Any, without: tuple[Service, ...] = ()) -> None:
        self.calls: list[str] = []
        self.refuses: dict[str, str] = {}
        self.task = ''
        self.notes: list[dict[str, str]] = []  # as they were when an episode started
        self.jammed = False
        self.deaf = 0  # to so many of the moves that begin where it stands
        self.begun = 0
        self.succeeds = False
        self.pose = HOME.copy()
        self.ports = ['/dev/arm']
        self.fault = ''
        self.unusable = ''  # the checkpoint that cannot be loaded
        self.policy = {'checkpoint': 'first', 'state': 'ready', 'reason': ''}
        self.teleop = {'state': 'off', 'reason': ''}
        self.forgets_places = 0  # so many times
        self.cubes: list[tuple[float, float]] = []  # where it was, when a policy was enabled
        self.progress: list[dict[str, str]] = []
        self._noted: dict[str, str] = {}
        self._place: Point | None = None
        self._cube = (0.0, 0.0)
        self.trajectories: list[tuple[int, JointTrajectory]] = []  # after how many calls
        node = graph.node
        self._states = [node.publisher(topic) for topic in (JOINT_STATES, REFERENCE)]
        self._success = node.publisher(SIM_SUCCESS)
        self._state = node.publisher(SIM_STATE)
        node.subscribe(JOINT_TRAJECTORY, self._follow)
        node.subscribe(TASK, self._told)
        node.subscribe(EPISODE_NOTES, self._take_notes)
        node.subscribe(POLICY_CHECKPOINT, self._load)
        node.subscribe(SIM_PLACE, self._take_place)
        node.subscribe(DIAGNOSTICS, self._hear)
        for service in (
            *(ARM_TORQUE, POLICY_ENABLE, POLICY_RESET, TELEOP_ENABLE, SIM_RESET),
            *(EPISODE_START, EPISODE_STOP, EPISODE_SUCCEED, EPISODE_FAIL, EPISODE_DISCARD),
        ):
            if service not in without:
                node.serve(service, lambda request, service=service: self._call(service, request))
        self._health = node.publisher(DIAGNOSTICS)
        node.create_timer(0.01, self._publish)
        node.create_timer(0.05, self._report)

    @property
    def state(self) -> str:
        return self.progress[-1]['state'] if self.progress else ''

    @property
    def states(self) -> list[str]:
        """Each state that the session was in, as it came."""
        states = [said['state'] for said in self.progress]
        return [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]

    def moved_after(self, call: str) -> bool:
        """Return whether the arm was moved after this call, and before the next."""
        return any(calls and self.calls[calls - 1] == call for calls, _ in self.trajectories)

    def _call(self, service: Service, request: Any) -> tuple[bool, str]:
        on = getattr(request, 'data', None)
        call = service.name if on is None else f'{service.name} {on}'
        self.calls.append(call)
        if call in self.refuses:
            raise UserError(self.refuses[call])
        if call == 'policy/enable True':
            self.cubes.append(self._cube)
            if self.succeeds:
                self._success.publish(Bool(data=True))
        if service is TELEOP_ENABLE:
            self.teleop = {'state': 'following' if on else 'off', 'reason': ''}
        if service is EPISODE_START:
            self.notes.append(self._noted)
        if service is SIM_RESET:
            self._reset()
        return True, 'recordings/1'

    def _reset(self) -> None:
        self._success.publish(Bool(data=False))
        place, self._place = self._place, None
        if self.forgets_places:
            self.forgets_places -= 1
        elif place is not None:
            self._cube = (place.x, place.y)

    def _follow(self, message: JointTrajectory) -> None:
        begins = np.allclose(message.points[0].positions, self.pose, atol=0.02)
        self.begun += begins
        if self.begun > self.deaf:
            self.trajectories.append((len(self.calls), message))

    def _take_notes(self, message: String) -> None:
        self._noted = json.loads(message.data)

    def _take_place(self, message: Point) -> None:
        self._place = message

    def _load(self, message: String) -> None:
        if message.data == self.unusable:
            self.policy = {'checkpoint': message.data, 'state': 'failed', 'reason': 'no weights'}
        else:
            self.policy = {'checkpoint': message.data, 'state': 'ready', 'reason': ''}

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'session/progress':
                values = {pair.key: pair.value for pair in status.values}
                self.progress.append({**values, 'message': status.message})

    def _report(self) -> None:
        statuses = [('policy/inference', self.policy), ('teleop/arms', self.teleop)]
        for port in self.ports:
            state = 'fault' if self.fault else 'holding'
            said = {'state': state, 'reason': self.fault, 'port': port}
            statuses.append(('driver/arm', said))
        for name, said in statuses:
            values = [KeyValue(key=key, value=value) for key, value in said.items()]
            self._health.publish(
                DiagnosticArray(status=[DiagnosticStatus(name=name, values=values)])
            )

    def _told(self, message: String) -> None:
        self.task = message.data

    def _publish(self) -> None:
        now = time.time_ns()
        due = [t for _, t in self.trajectories if to_nanoseconds(t.header.stamp) <= now]
        if due and not self.jammed:
            points = due[-1].points
            seconds = (now - to_nanoseconds(due[-1].header.stamp)) * 1e-9
            times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
            rows = np.array([p.positions for p in points])
            self.pose = np.array([np.interp(seconds, times, row) for row in rows.T])
        message = JointState(name=list(JOINTS), position=self.pose.tolist())
        message.header.stamp = from_nanoseconds(now)
        for publisher in self._states:
            publisher.publish(message)
        self._state.publish(JointState(name=['cube.x', 'cube.y'], position=self._cube))


def test_two_rollouts_in_order_with_exit_code_0(graph: Any) -> None:
    world = World(graph)
    world.pose = np.zeros(6)
    process = graph.start(MODULE, num_rollouts=2, task='Fold the towel', **QUICK)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, '')
    once = ['sim/reset', 'policy/reset', 'episodes/start', 'policy/enable True']
    once += ['policy/enable False', 'episodes/fail']
    assert world.calls == ['arm/torque True', *once, *once, 'arm/torque False']
    lines = output.splitlines()
    assert lines[:2] == [
        'the arm moves to its home pose in 0 s',
        'waiting for the policy to be ready',
    ]
    assert lines[2].startswith('episode 1 of 2: failure, 0.5 s, recordings/1; about ')
    assert lines[3:] == [
        'episode 2 of 2: failure, 0.5 s, recordings/1',
        '0 of 2 successes (Wilson 95 %: 0 to 66 %)',
    ]
    assert world.task == 'Fold the towel'
    assert world.pose == pytest.approx(HOME)
    assert world.notes == 2 * [{'kind': 'rollout', 'checkpoint': 'first', 'place': ''}]

    # What it does is on diagnostics; a state that is over at once may be told with the next.
    graph.wait_for(lambda: world.state == 'done', 'the last word')
    assert world.states[:2] == ['waiting', 'homing']
    assert world.states[-3:] == ['running', 'homing', 'done']
    running = next(said for said in world.progress if said['state'] == 'running')
    assert (running['message'], running['outcome']) == ('episode 1 of 2 is running', '')
    said = world.progress[-1]
    assert float(said.pop('seconds')) == pytest.approx(0.5, abs=0.2)
    said.pop('sequence')
    assert said == {
        'state': 'done',
        'message': '0 of 2 successes (Wilson 95 %: 0 to 66 %)',
        'kind': 'rollout',
        'number': '2',
        'total': '2',
        'task': 'Fold the towel',
        'checkpoint': 'first',
        'place': '',
        'outcome': 'failure',
        'reason': '',
        'path': 'recordings/1',
        'episode_time': '0.5000',
    }


# Keys.


def test_a_person_ends_a_rollout_and_labels_it_and_changes_the_label(graph: Any) -> None:
    world = World(graph)
    process = graph.start(MODULE, **{**LONG, 'sim': 'false', 'pause_between': 60.0})
    graph.wait_for(lambda: world.state == 'running', 'rollout')
    assert graph.call(SESSION_NEXT) == (True, 'episode 1 of 1 ends: next')
    graph.wait_for(lambda: world.state == 'label', 'end of the rollout')
    reason = graph.node.publisher(EPISODE_REASON)
    graph.wait_for(lambda: reason.get_subscription_count() > 0, 'session')
    reason.publish(String(data='slipped'))
    graph.wait_for(lambda: world.progress[-1]['reason'] == 'slipped', 'reason')
    assert graph.call(SESSION_FAIL) == (True, 'episode 1 of 1: failure')
    output, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, '')
    assert world.calls[-4:] == [
        'policy/enable False',
        'episodes/stop',
        'episodes/fail',
        'arm/torque False',
    ]
    assert output.splitlines()[-1] == '0 of 1 successes (Wilson 95 %: 0 to 79 %)'


def test_a_key_that_does_nothing_is_answered_with_why(graph: Any) -> None:
    World(graph)
    graph.start(MODULE, **{**QUICK, 'start_pause': 60.0})
    for service in (SESSION_NEXT, SESSION_AGAIN, SESSION_SUCCEED, SESSION_FAIL):
        done, text = graph.call(service)
        assert not done
        assert text.endswith('waiting for the arm')


def test_demonstrations_of_two_evenings(graph: Any, tmp_path: Path) -> None:
    episode = Episode.begun(1, 'demonstration', 'Fold', '', '')
    (tmp_path / 'one').mkdir()
    Episode(**{**vars(episode), 'complete': True}).save(tmp_path / 'one')
    world = World(graph)
    process = graph.start(
        MODULE,
        source='teleop',
        num_episodes=3,
        directory=tmp_path,
        **{**LONG, 'sim': 'false'},
    )
    graph.wait_for(lambda: world.state == 'running', 'demonstration')
    assert world.progress[-1]['number'] == '2'
    assert graph.call(SESSION_AGAIN)[0]
    graph.wait_for(lambda: world.calls.count('episodes/start') == 2, 'the same again')
    graph.wait_for(lambda: world.state == 'running', 'demonstration')
    assert graph.call(SESSION_NEXT)[0]
    graph.wait_for(lambda: world.calls.count('episodes/start') == 3, 'the next')
    graph.wait_for(lambda: world.state == 'running', 'demonstration')
    assert world.progress[-1]['number'] == '3'
    assert graph.call(SESSION_END)[0]
    output, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, '')
    once = ['teleop/enable True', 'episodes/start', 'teleop/enable False']
    assert world.calls == [
        'arm/torque True',
        *(*once, 'episodes/discard', *once, 'episodes/succeed', *once, 'episodes/discard'),
        'arm/torque False',
    ]
    lines = output.splitlines()
    assert lines[0] == '1 of 3 are there'
    assert 'episode 3 of 3 was interrupted and is discarded' in lines
    assert lines[-1] == (
        '2 of 3 demonstrations are there; of this session: 1 success, 2 discarded'
    )
    assert world.notes[0]['kind'] == 'demonstration'
    assert world.pose == pytest.approx(HOME)


def test_a_leader_that_is_not_ready_is_waited_for_and_said(graph: Any, tmp_path: Path) -> None:
    world = World(graph)
    follow = world._call

    def silent(service: Service, request: Any) -> tuple[bool, str]:
        answer = follow(service, request)
        if service is TELEOP_ENABLE and request.data:
            world.teleop = {'state': 'waiting', 'reason': 'the leader is silent: see its driver'}
        return answer

    world._call = silent  # type: ignore[method-assign]
    process = graph.start(MODULE, source='teleop', num_episodes=1, directory=tmp_path, **QUICK)
    graph.wait_for(
        lambda: (
            world.progress[-1:] != [] and 'the leader is silent' in world.progress[-1]['message']
        ),
        'why it waits',
    )
    assert 'episodes/start' not in world.calls
    world.teleop = {'state': 'off', 'reason': 'the torque is refused; then teleop/enable'}
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error == 'session: teleoperation ended: the torque is refused; then teleop/enable\n'
    assert world.calls[-2:] == ['teleop/enable False', 'arm/torque False']


# Evaluation.


def test_checkpoints_from_places_in_simulation(graph: Any) -> None:
    world = World(graph)
    world.succeeds = True
    world.forgets_places = 1  # the first came too late
    process = graph.start(
        MODULE, checkpoints='["a", "b"]', places=4, num_rollouts=2, seed=5, **LONG
    )
    output, error = process.communicate(timeout=40)  # each would take 60 s but for its success
    assert (process.returncode, error) == (0, '')
    assert world.calls.count('episodes/succeed') == 4
    order = trials(['a', 'b'], 4, 2, 5)
    assert [(notes['checkpoint'], notes['place']) for notes in world.notes] == [
        (trial.checkpoint, str(trial.place)) for trial in order
    ]
    assert world.cubes == [pytest.approx(trial.spot) for trial in order]
    assert world.calls.count('sim/reset') == 5
    assert [line for line in output.splitlines() if ' successes ' in line] == [
        f'{order[0].checkpoint}: 2 of 2 successes (Wilson 95 %: 34 to 100 %)',
        f'{order[1].checkpoint}: 2 of 2 successes (Wilson 95 %: 34 to 100 %)',
    ]


def test_a_checkpoint_that_cannot_be_loaded_is_left_out(graph: Any) -> None:
    world = World(graph)
    world.unusable = 'b'
    process = graph.start(MODULE, checkpoints='["a", "b"]', num_rollouts=2, **QUICK)
    output, error = process.communicate(timeout=40)
    assert process.returncode == 1
    assert error == 'session: b was left out: no weights\n'
    assert [notes['checkpoint'] for notes in world.notes] == ['a', 'a']
    assert 'b is left out: no weights' in output.splitlines()
    assert world.calls[-1] == 'arm/torque False'


def test_a_world_that_puts_the_object_elsewhere_is_an_error(graph: Any) -> None:
    world = World(graph)
    world.forgets_places = 100
    process = graph.start(MODULE, places=4, **QUICK)
    _, error = process.communicate(timeout=40)
    assert process.returncode == 1
    assert error.startswith('session: sim/reset does not put the object where sim/place says: (0.')
    assert 'policy/enable True' not in world.calls


@pytest.mark.parametrize(
    ('given', 'why'),
    [
        ({'home': [0.0, 1.0]}, 'parameter home: expected 6 radians'),
        ({'home': [float('nan'), *HOME.tolist()[1:]]}, 'parameter home: expected 6 radians'),
        ({'checkpoints': ['a', 'a']}, 'parameter checkpoints: one is given twice'),
        ({'checkpoints': [1, 2]}, 'parameter checkpoints: expected folders'),
        ({'checkpoints': ['']}, 'parameter checkpoints: expected folders'),
        ({'checkpoints': ['a'], 'source': 'teleop'}, 'checkpoints: only for source policy'),
    ],
)
def test_parameters_that_make_no_plan_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        plan(Parameters(**given))


# Errors.


def test_a_policy_that_refuses_ends_the_node_with_its_words(graph: Any) -> None:
    world = World(graph)
    world.refuses['policy/enable True'] = 'overhead camera is silent'
    process = graph.start(MODULE, **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == 'session: policy/enable: overhead camera is silent\n'
    assert world.calls[-3:] == ['policy/enable False', 'episodes/stop', 'arm/torque False']
    assert world.moved_after('episodes/stop')


def test_an_arm_that_does_not_arrive_is_an_error_with_the_joint(graph: Any) -> None:
    world = World(graph)
    world.jammed, world.pose = True, np.zeros(6)
    process = graph.start(MODULE, **QUICK)
    output, error = process.communicate(timeout=40)
    assert process.returncode == 1
    assert error.startswith('session: the arm ')
    assert output.splitlines()[-1].startswith('and then: the arm ')
    assert world.calls == ['arm/torque True', 'arm/torque False']


def test_a_move_that_was_interrupted_is_begun_again(graph: Any) -> None:
    world = World(graph)
    world.pose, world.deaf = np.zeros(6), 1
    process = graph.start(MODULE, **QUICK)
    _, error = process.communicate(timeout=40)
    assert error == ''
    assert process.returncode == 0
    assert world.begun > 1
    assert world.pose == pytest.approx(HOME)


def test_what_is_missing_is_named(graph: Any) -> None:
    process = graph.start(MODULE, arm_timeout=0.5, **QUICK)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error == (
        'session: no arm after 0.5 s: there is no driver of any port, service arm/torque, '
        'messages on joint_states, a subscriber of arm_controller/joint_trajectory; '
        'see the driver\n'
    )


def test_a_policy_that_never_appears_is_an_error_and_torque_goes_off(graph: Any) -> None:
    world = World(graph, without=(POLICY_ENABLE,))
    process = graph.start(MODULE, policy_timeout=0.5, **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.startswith('session: no service policy/enable after 0.5 s (policy_timeout)')
    assert world.calls[-1] == 'arm/torque False'


@pytest.mark.alone
@pytest.mark.parametrize(
    ('source', 'last'),
    [
        ('policy', ['policy/enable False']),
        ('teleop', ['teleop/enable False', 'episodes/discard']),
    ],
)
def test_a_signal_stops_who_moves_the_arm_and_ends_within_two_seconds(
    graph: Any, tmp_path: Path, source: str, last: list[str]
) -> None:
    world = World(graph)
    process = graph.start(MODULE, source=source, directory=tmp_path, **LONG)
    graph.wait_for(lambda: world.state == 'running', 'episode')
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert time.monotonic() - began < 2.0
    assert (process.returncode, error) == (0, '')
    assert world.calls[-len(last) :] == last


def test_a_stopped_arm_is_held_until_the_fault_is_cleared(graph: Any) -> None:
    world = World(graph)
    process = graph.start(MODULE, **{**LONG, 'sim': 'false'})
    graph.wait_for(lambda: world.state == 'running', 'rollout')
    world.fault = 'stopped by arm/stop'
    for line in process.stdout:
        if line.startswith('stopped'):
            break
    assert line == 'stopped by arm/stop. The arm is held; Ctrl-C lets go of it\n'
    assert world.calls[-2:] == ['policy/enable False', 'episodes/stop']
    assert 'arm/torque False' not in world.calls
    world.fault = ''
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == 'session: stopped by arm/stop\n'
    assert world.calls[-1] == 'arm/torque False'


def test_a_second_driver_is_refused_before_anything_moves(graph: Any) -> None:
    world = World(graph)
    world.ports.append('/tmp/simulated')
    process = graph.start(MODULE, port='/tmp/simulated', **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.startswith('session: there are drivers of /dev/arm and /tmp/simulated: end the')
    assert world.calls == []
    assert not world.trajectories
