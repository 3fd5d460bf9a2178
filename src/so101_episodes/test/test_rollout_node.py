"""The rollout node against a driver, policy, recorder and world that the test plays."""

import signal
import time
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from so101_description.joints import HOME, JOINTS
from so101_node.error import UserError
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    EPISODE_FAIL,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    POLICY_ENABLE,
    POLICY_RESET,
    REFERENCE,
    SIM_RESET,
    SIM_SUCCESS,
    TASK,
    Service,
)

MODULE = 'so101_episodes.rollout_node'
QUICK = {
    'episode_time': 0.5,
    'start_pause': 0.0,
    'pause_between': 0.0,
    'direct_reset': 'true',
    'sim': 'true',
}


class World:
    """Answers every service, notes the calls, and has an arm that is where it was told to be."""

    def __init__(self, graph: Any, without: tuple[Service, ...] = ()) -> None:
        self.calls: list[str] = []
        self.refuses: dict[str, str] = {}
        self.task = ''
        self.jammed = False
        self.succeeds = False
        self.trajectories: list[JointTrajectory] = []
        self.pose = np.zeros(6)
        self._began = 0.0
        node = graph.node
        self._states = [node.publisher(topic) for topic in (JOINT_STATES, REFERENCE)]
        self._success = node.publisher(SIM_SUCCESS)
        node.subscribe(JOINT_TRAJECTORY, self._follow)
        node.subscribe(TASK, self._told)
        for service in (
            *(ARM_TORQUE, POLICY_ENABLE, POLICY_RESET, SIM_RESET),
            *(EPISODE_START, EPISODE_STOP, EPISODE_SUCCEED, EPISODE_FAIL),
        ):
            if service not in without:
                node.serve(service, lambda request, service=service: self._call(service, request))
        self._health = node.publisher(DIAGNOSTICS)
        self.ports = ['/dev/arm']
        self.fault = ''
        node.create_timer(0.01, self._publish)
        node.create_timer(0.05, self._report)

    def _call(self, service: Service, request: Any) -> tuple[bool, str]:
        on = getattr(request, 'data', None)
        call = service.name if on is None else f'{service.name} {on}'
        self.calls.append(call)
        if call in self.refuses:
            raise UserError(self.refuses[call])
        if call == 'policy/enable True' and self.succeeds:
            self._success.publish(Bool(data=True))
        return True, 'recordings/1'

    def _follow(self, message: JointTrajectory) -> None:
        self.trajectories.append(message)
        self._began = time.monotonic()

    def _report(self) -> None:
        for port in self.ports:
            said = {
                'state': 'fault' if self.fault else 'holding',
                'reason': self.fault,
                'port': port,
            }
            values = [KeyValue(key=key, value=value) for key, value in said.items()]
            self._health.publish(
                DiagnosticArray(status=[DiagnosticStatus(name='driver/arm', values=values)])
            )

    def _told(self, message: String) -> None:
        self.task = message.data

    def _publish(self) -> None:
        if self.trajectories and not self.jammed:
            points = self.trajectories[-1].points
            times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
            index = int(np.searchsorted(times, time.monotonic() - self._began))
            self.pose = np.array(points[min(index, len(points) - 1)].positions)
        message = JointState(name=list(JOINTS), position=self.pose.tolist())
        for publisher in self._states:
            publisher.publish(message)


def test_two_rollouts_in_order_with_exit_code_0(graph: Any) -> None:
    world = World(graph)
    process = graph.start(MODULE, num_rollouts=2, task='Fold the towel', **QUICK)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, '')
    once = ['sim/reset', 'policy/reset', 'episodes/start', 'policy/enable True']
    once += ['policy/enable False', 'episodes/fail']
    assert world.calls == ['arm/torque True', *once, *once, 'arm/torque False']
    assert output.splitlines() == [
        'the arm moves to its home pose in 0 s',
        'waiting for the policy to be ready',
        'rollout 1 of 2: failure, 0.5 s, recordings/1',
        'rollout 2 of 2: failure, 0.5 s, recordings/1',
    ]
    assert world.task == 'Fold the towel'
    assert world.pose == pytest.approx(HOME)
    home = world.trajectories[0]
    assert list(home.joint_names) == list(JOINTS)
    assert (home.header.stamp.sec, home.header.stamp.nanosec) == (0, 0)


def test_success_ends_a_rollout_early_and_labels_it(graph: Any) -> None:
    world = World(graph)
    world.succeeds = True
    process = graph.start(MODULE, **{**QUICK, 'episode_time': 20.0})
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert 'episodes/succeed' in world.calls
    assert output.splitlines()[-1].startswith('rollout 1 of 1: success, ')


def test_a_policy_that_refuses_ends_the_node_with_its_words(graph: Any) -> None:
    world = World(graph)
    world.refuses['policy/enable True'] = 'overhead camera is silent'
    process = graph.start(MODULE, **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == 'rollout: policy/enable: overhead camera is silent\n'
    assert world.calls[-3:] == ['policy/enable False', 'episodes/stop', 'arm/torque False']
    assert len(world.trajectories) == 2  # home before, and home after the error


def test_an_arm_that_does_not_arrive_is_an_error_with_the_joint(graph: Any) -> None:
    world = World(graph)
    world.jammed = True
    process = graph.start(MODULE, **QUICK)
    output, error = process.communicate(timeout=40)
    assert process.returncode == 1
    assert error.startswith('rollout: the arm did not arrive: shoulder_lift is 104.7 degrees off')
    assert output.splitlines()[-1].startswith('and then: the arm did not arrive')
    assert world.calls == ['arm/torque True', 'arm/torque False']


def test_what_is_missing_is_named(graph: Any) -> None:
    process = graph.start(MODULE, arm_timeout=0.5, **QUICK)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error == (
        'rollout: no arm after 0.5 s: there is no driver of any port, service arm/torque, '
        'messages on joint_states, a subscriber of arm_controller/joint_trajectory; '
        'see the driver\n'
    )


def test_a_policy_that_never_appears_is_an_error_and_torque_goes_off(graph: Any) -> None:
    world = World(graph, without=(POLICY_ENABLE,))
    process = graph.start(MODULE, policy_timeout=0.5, **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.startswith('rollout: no service policy/enable after 0.5 s (policy_timeout)')
    assert world.calls[-1] == 'arm/torque False'


def test_a_signal_disables_the_policy_and_ends_within_two_seconds(graph: Any) -> None:
    world = World(graph)
    process = graph.start(MODULE, **{**QUICK, 'episode_time': 60.0})
    graph.wait_for(lambda: 'policy/enable True' in world.calls, 'rollout')
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert time.monotonic() - began < 2.0
    assert (process.returncode, error) == (0, '')
    assert world.calls[-1] == 'policy/enable False'


@pytest.mark.parametrize('home', ['[0.0,1.0]', '[.nan,0.0,0.0,0.0,0.0,0.0]'])
def test_a_home_that_is_no_pose_is_refused(graph: Any, home: str) -> None:
    process = graph.start(MODULE, home=home)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert 'parameter home: expected 6 radians' in error


def test_a_stopped_arm_is_held_until_the_fault_is_cleared(graph: Any) -> None:
    world = World(graph)
    process = graph.start(MODULE, **{**QUICK, 'episode_time': 30.0, 'sim': 'false'})
    for line in process.stdout:
        if 'waiting for the policy' in line:
            break
    graph.wait_for(lambda: 'policy/enable True' in world.calls, 'policy')
    world.fault = 'stopped by arm/stop'
    said = process.stdout.readline()
    assert said == 'stopped by arm/stop. The arm is held; Ctrl-C lets go of it\n'
    assert world.calls[-2:] == ['policy/enable False', 'episodes/stop']
    assert 'arm/torque False' not in world.calls
    world.fault = ''
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == 'rollout: stopped by arm/stop\n'
    assert world.calls[-1] == 'arm/torque False'


def test_a_second_driver_is_refused_before_anything_moves(graph: Any) -> None:
    world = World(graph)
    world.ports.append('/tmp/simulated')
    process = graph.start(MODULE, port='/tmp/simulated', **QUICK)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.startswith('rollout: there are drivers of /dev/arm and /tmp/simulated: end the')
    assert world.calls == []
    assert not world.trajectories
