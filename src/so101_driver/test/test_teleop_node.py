"""The teleop process between two arms that this test plays."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from so101_description.joints import JOINTS
from so101_node.stamp import from_nanoseconds
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    JOINT_TRAJECTORY,
    LEADER_STATES,
    LEADER_TORQUE,
    REFERENCE,
    TELEOP_ENABLE,
    Service,
    Topic,
)

TIMEOUT = 20.0


class Arms:
    """Both arms: the leader's and the follower's topics, services and health."""

    def __init__(self, *, deaf: str = '', missing: str = '') -> None:
        """Do not answer the service `deaf` before `listen`, nor serve `missing` before `serve`."""
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('arms', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.leader = [0.2] * 6
        self.leader_speaks = True
        self.follower = [0.0] * 6
        self.stuck = False  # it does not go where it is sent
        self.fault = ''
        self.leader_fault = ''
        self.limits = ('-2.0', '2.0')  # of the follower
        self.other = True  # another arm's health is not the follower's
        self.torque: list[tuple[str, bool]] = []
        self.sent: list[Any] = []
        self.said: dict[str, str] = {}
        self._leader_states = self._publisher(LEADER_STATES)
        self._reference = self._publisher(REFERENCE)
        self._health = self._publisher(DIAGNOSTICS)
        self._deaf = rclpy.create_node('deaf', context=self._context)
        for service in (ARM_TORQUE, LEADER_TORQUE):
            if service.name != missing:
                self.serve(service, self._deaf if service.name == deaf else self._node)
        self._subscribe(JOINT_TRAJECTORY, self._move)
        self._subscribe(DIAGNOSTICS, self._hear)

    def serve(self, service: Service, node: Node | None = None) -> None:
        (node or self._node).create_service(service.type, service.name, self._switch(service.name))

    def listen(self) -> None:
        self._executor.add_node(self._deaf)

    def until(self, condition: Callable[[], Any]) -> None:
        """Be both arms, 100 times a second, until the condition holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f'it did not happen in time: {self.said}'
            now = from_nanoseconds(time.time_ns())
            if self.leader_speaks:
                self._publish(self._leader_states, now, self.leader)
            if (ARM_TORQUE.name, True) in self.torque:
                self._publish(self._reference, now, self.follower)
            self._report()
            end = time.monotonic() + 0.01
            while (left := end - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=left)

    def until_state(self, state: str) -> None:
        self.until(lambda: self.said.get('state') == state)

    def call(self, service: Service, request: Any) -> Any:
        client = self._node.create_client(service.type, service.name)
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._deaf.destroy_node()
        rclpy.shutdown(context=self._context)

    def _publisher(self, topic: Topic) -> Any:
        return self._node.create_publisher(topic.type, topic.name, topic.qos)

    def _subscribe(self, topic: Topic, callback: Callable[[Any], None]) -> None:
        self._node.create_subscription(topic.type, topic.name, callback, topic.qos)

    def _publish(self, publisher: Any, now: Any, position: list[float]) -> None:
        message = JointState(name=JOINTS, position=position)
        message.header.stamp = now
        publisher.publish(message)

    def _report(self) -> None:
        values = {'port': '/dev/f', 'state': 'fault' if self.fault else 'holding'}
        values['reason'] = self.fault
        values['lower_rad'], values['upper_rad'] = (' '.join([text] * 6) for text in self.limits)
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        other = [KeyValue(key='port', value='/dev/x'), KeyValue(key='state', value='fault')]
        leader = [
            KeyValue(key='state', value='fault' if self.leader_fault else 'holding'),
            KeyValue(key='reason', value=self.leader_fault),
        ]
        statuses = [
            DiagnosticStatus(name='driver/arm', values=pairs),
            DiagnosticStatus(name='leader/driver/arm', values=leader),
        ]
        if self.other:
            statuses.append(DiagnosticStatus(name='driver/arm', values=other))
        self._health.publish(DiagnosticArray(status=statuses))

    def _switch(self, name: str) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            self.torque.append((name, request.data))
            response.success = True
            return response

        return answer

    def _move(self, message: Any) -> None:
        self.sent.append(message)
        if not self.stuck:
            self.follower = list(message.points[-1].positions)

    def _hear(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'teleop/arms':
                self.said = {pair.key: pair.value for pair in status.values}


@pytest.fixture
def arms() -> Iterator[Arms]:
    arms = Arms()
    yield arms
    arms.close()


@contextmanager
def teleop(*parameters: str) -> Iterator['subprocess.Popen[str]']:
    line = [sys.executable, '-m', 'so101_driver.teleop_node', '--ros-args']
    for parameter in ('ramp_velocity:=1.0', *parameters):
        line += ['-p', parameter]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def process(arms: Arms) -> Iterator['subprocess.Popen[str]']:
    with teleop('port:=/dev/f') as process:
        yield process


def test_it_switches_the_torques_follows_and_stops_for_each_reason(
    process: 'subprocess.Popen[str]', arms: Arms
) -> None:
    arms.until_state('following')
    assert arms.torque == [(ARM_TORQUE.name, True), (LEADER_TORQUE.name, False)]
    arms.until(lambda: arms.follower == pytest.approx(arms.leader, abs=0.01))
    message = arms.sent[-1]
    assert list(message.joint_names) == list(JOINTS)
    assert (message.header.stamp.sec, len(message.points)) == (0, 1)

    arms.leader = [0.2] * 5 + [float('nan')]
    arms.until(lambda: 'not finite' in arms.said['last_refusal'])
    arms.until_state('waiting')
    arms.leader = [0.2] * 6
    arms.until_state('following')

    arms.leader_speaks = False
    arms.until(lambda: 'the leader is silent' in arms.said['reason'])
    count = len(arms.sent)
    arms.leader_speaks = True
    arms.until_state('following')
    assert len(arms.sent) > count

    arms.fault = 'elbow_flex reports overload'
    arms.until(lambda: 'elbow_flex reports overload' in arms.said['reason'])
    arms.fault = ''
    arms.until_state('following')
    assert int(arms.said['interruptions']) >= 3

    arms.stuck = True
    arms.leader = [0.35] * 6
    arms.until_state('following')
    arms.leader = [0.5] * 6
    arms.until(lambda: 'degrees from where it was sent' in arms.said['last_interruption'])
    arms.stuck = False
    arms.until_state('following')

    arms.limits = ('-0.4', '0.4')
    arms.until(lambda: arms.follower == pytest.approx([0.4] * 6))
    assert arms.said['state'] == 'following'

    assert arms.call(TELEOP_ENABLE, SetBool.Request(data=False)).message == 'teleop is off'
    arms.until_state('off')
    count = len(arms.sent)
    arms.leader = [0.6] * 6
    since = time.monotonic()
    arms.until(lambda: time.monotonic() - since > 0.3)
    assert len(arms.sent) == count
    assert arms.call(TELEOP_ENABLE, SetBool.Request(data=True)).success
    arms.until_state('following')

    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0


def test_a_leader_that_is_held_is_let_go_of_at_the_end(arms: Arms) -> None:
    with teleop('port:=/dev/f', 'start:=leader_to_follower') as process:
        arms.until_state('leading')  # and there it stays: this leader does not move
        arms.leader_fault = 'elbow_flex reports overload'
        arms.until(lambda: 'the leader is in fault: elbow_flex' in arms.said['reason'])
        arms.leader_fault = ''
        arms.until_state('leading')
        assert arms.torque == [(ARM_TORQUE.name, True), (LEADER_TORQUE.name, True)]
        process.send_signal(signal.SIGINT)
        arms.until(lambda: process.poll() is not None)
        assert process.returncode == 0
        assert arms.torque[-1] == (LEADER_TORQUE.name, False)


def test_a_torque_that_is_not_served_is_named_and_switched_when_it_is() -> None:
    with closing(Arms(missing=LEADER_TORQUE.name)) as arms, teleop():  # of any port
        arms.other = False
        reason = 'leader/arm/torque is not served: start the driver of the leader'
        arms.until(lambda: arms.said.get('reason') == reason)
        arms.serve(LEADER_TORQUE)
        arms.until_state('following')


def test_a_torque_service_that_does_not_answer_is_named_and_asked_again() -> None:
    with closing(Arms(deaf=ARM_TORQUE.name)) as arms, teleop('port:=/dev/f'):
        arms.until(lambda: 'arm/torque has not answered for 5 s' in arms.said.get('reason', ''))
        arms.listen()
        arms.until_state('following')
        assert arms.torque.count((ARM_TORQUE.name, True)) >= 2


def test_a_wrong_start_is_one_line_and_exit_code_1() -> None:
    line = [sys.executable, '-m', 'so101_driver.teleop_node', '--ros-args', '-p', 'start:=now']
    process = subprocess.run(line, stderr=subprocess.PIPE, text=True, timeout=60)
    assert process.returncode == 1
    assert "parameter start: 'now' is none of follower_to_leader" in process.stderr
    assert process.stderr.count('\n') == 1
