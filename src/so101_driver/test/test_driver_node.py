"""The driver process: its topics and services, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Duration
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import JOINTS
from so101_driver.registers import HOMING_OFFSET
from so101_driver.serial_port import SerialPort
from so101_node.stamp import to_nanoseconds
from so101_node.topics import (
    ARM_CLEAR_FAULT,
    ARM_STOP,
    ARM_TORQUE,
    DIAGNOSTICS,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    REFERENCE,
    Service,
)

if TYPE_CHECKING:
    from conftest import FakeBus

TIMEOUT = 10.0

TICK = 2 * np.pi / 4095


def start(
    port: str, calibration: Path | str, timeout: float = 0.2, *more: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, '-m', 'so101_driver.driver_node', '--ros-args'),
            *('-p', f'port:={port}', '-p', f'port_timeout:={timeout}'),
            *('-p', f"calibration:='{calibration}'"),
            *more,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )


class Client:
    """A node beside the driver's process, and what it received."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('client', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.states: list[Any] = []
        self.references: list[Any] = []
        self.statuses: dict[str, dict[str, str]] = defaultdict(dict)
        self.messages: dict[str, str] = defaultdict(str)
        for topic, callback in (
            (JOINT_STATES, self.states.append),
            (REFERENCE, self.references.append),
            (DIAGNOSTICS, self._diagnosed),
        ):
            self._node.create_subscription(topic.type, topic.name, callback, topic.qos)
        self.trajectory = self._node.create_publisher(
            JOINT_TRAJECTORY.type, JOINT_TRAJECTORY.name, JOINT_TRAJECTORY.qos
        )

    def _diagnosed(self, message: Any) -> None:
        for status in message.status:
            self.statuses[status.name] = {value.key: value.value for value in status.values}
            self.messages[status.name] = status.message

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, 'it did not happen in time'
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, service: Service, request: Any) -> Any:
        client = self._node.create_client(service.type, service.name)
        assert client.wait_for_service(TIMEOUT)
        future = client.call_async(request)
        self.wait(future.done)
        return future.result()

    def topics(self) -> list[tuple[str, list[str]]]:
        return self._node.get_topic_names_and_types()

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


@pytest.fixture
def process(
    servo_bus: FakeBus, calibration_path: Path, client: Client
) -> Iterator[subprocess.Popen[str]]:
    process = start(servo_bus.path, calibration_path)
    try:
        client.wait(lambda: bool(client.states) or process.poll() is not None)
        yield process
    finally:  # otherwise the tests that follow in this domain would hear a second arm
        process.kill()
        process.communicate()


def trajectory(seconds: float, position: float) -> JointTrajectory:
    nanoseconds = round(seconds * 1e9)
    point = JointTrajectoryPoint(
        positions=[position] * 6,
        time_from_start=Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9),
    )
    return JointTrajectory(joint_names=JOINTS, points=[point])


def test_an_arm_is_moved_measured_stopped_and_reported(
    process: subprocess.Popen[str], client: Client, servo_bus: FakeBus
) -> None:
    assert client.states[-1].name == list(JOINTS)
    client.wait(lambda: client.trajectory.get_subscription_count() == 1)

    client.trajectory.publish(trajectory(0.2, 0.3))
    client.wait(lambda: 'torque is off' in client.statuses['driver/arm'].get('last_rejection', ''))
    assert not client.references

    answer = client.call(ARM_TORQUE, SetBool.Request(data=True))
    assert answer.success, answer.message
    client.trajectory.publish(trajectory(0.2, 0.3))
    client.wait(
        lambda: (
            bool(client.references)
            and client.references[-1].position[0] == pytest.approx(0.3, abs=TICK)
        )
    )
    client.wait(lambda: client.states[-1].position == client.references[-1].position)

    assert client.call(ARM_STOP, Trigger.Request()).success
    client.wait(lambda: client.statuses['driver/arm'].get('state') == 'fault')
    assert 'arm/stop' in client.statuses['driver/arm']['reason']
    assert client.call(ARM_CLEAR_FAULT, Trigger.Request()).message == 'the arm is holding'

    client.wait(lambda: client.statuses['driver/arm'].get('state') == 'holding')
    counts = client.statuses['driver/arm']
    assert counts['trajectories_received'] == '2'
    assert counts['trajectories_rejected'] == counts['trajectories_started'] == '1'
    assert float(client.statuses['driver/gripper']['voltage_v']) == 12.0
    assert set(client.statuses) == {
        'driver/arm',
        'driver/bus',
        *(f'driver/{joint}' for joint in JOINTS),
    }


class Quiet(set[int]):
    """Servos that do not answer so many requests."""

    requests = 12

    def __contains__(self, servo: object) -> bool:
        quiet = super().__contains__(servo) and self.requests > 0
        self.requests -= quiet
        return quiet


def test_a_fault_is_cleared_when_a_servo_is_heard_again(
    process: subprocess.Popen[str], client: Client, servo_bus: FakeBus
) -> None:
    assert client.call(ARM_TORQUE, SetBool.Request(data=True)).success
    assert client.call(ARM_STOP, Trigger.Request()).success
    servo_bus.silent = {3}
    client.wait(lambda: 'too few answers' in client.messages['driver/bus'])
    servo_bus.silent = Quiet({3})
    assert client.call(ARM_CLEAR_FAULT, Trigger.Request()).message == 'the arm is holding'


def test_what_no_sound_sender_sends_is_refused_and_stops_the_arm(
    process: subprocess.Popen[str], client: Client
) -> None:
    client.wait(lambda: client.trajectory.get_subscription_count() == 1)
    assert client.call(ARM_TORQUE, SetBool.Request(data=True)).success
    client.trajectory.publish(trajectory(5.0, 0.5))
    client.wait(lambda: bool(client.references) and client.references[-1].position[0] > 0.02)
    client.trajectory.publish(trajectory(1.0, float('nan')))
    client.wait(lambda: 'nan' in client.statuses['driver/arm'].get('last_rejection', ''))
    client.wait(lambda: client.statuses['driver/arm']['state'] == 'holding')
    assert client.references[-1].position[0] < 0.4
    client.trajectory.publish(trajectory(0.001, 1.5))
    client.wait(lambda: 'jump' in client.statuses['driver/arm']['last_rejection'])
    client.wait(lambda: client.statuses['driver/arm']['state'] == 'holding')
    assert client.references[-1].position[0] < 0.4


def test_a_killed_driver_leaves_no_torque_behind(
    process: subprocess.Popen[str], client: Client, servo_bus: FakeBus
) -> None:
    assert client.call(ARM_TORQUE, SetBool.Request(data=True)).success
    assert servo_bus.torque() == [1] * 6
    process.kill()
    client.wait(lambda: servo_bus.torque() == [0] * 6)


def test_two_arms_are_told_apart_by_their_namespace(
    servo_bus: FakeBus, calibration_path: Path, client: Client
) -> None:
    process = start(servo_bus.path, calibration_path, 0.2, '-r', '__ns:=/leader')
    try:
        client.wait(
            lambda: ('/leader/joint_states', ['sensor_msgs/msg/JointState']) in client.topics()
        )
    finally:
        process.terminate()
        process.communicate()


def test_joint_states_come_at_100_hz_or_more_with_rising_stamps(
    process: subprocess.Popen[str], client: Client
) -> None:
    client.states.clear()
    client.wait(lambda: len(client.states) >= 300)
    stamps = np.array([to_nanoseconds(message.header.stamp) for message in client.states]) * 1e-9
    assert (np.diff(stamps) > 0).all()
    assert len(stamps) / (stamps[-1] - stamps[0]) >= 100


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_every_servo_limp(
    process: subprocess.Popen[str], client: Client, servo_bus: FakeBus, number: int
) -> None:
    assert client.call(ARM_TORQUE, SetBool.Request(data=True)).success
    assert servo_bus.torque() == [1] * 6
    process.send_signal(number)
    assert process.wait(TIMEOUT) == 0
    assert servo_bus.torque() == [0] * 6


def test_a_trouble_at_the_start_is_one_line_and_exit_code_1(
    servo_bus: FakeBus, calibration_path: Path, subtests: Any
) -> None:
    def fails(port: str, calibration: Path | str, message: str) -> None:
        process = start(port, calibration)
        _, text = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 1
        assert message in text
        assert text.count('\n') == 1, text

    with subtests.test('absent port'):
        fails('/dev/no_such_port', calibration_path, '/dev/no_such_port does not exist')
    with subtests.test('no calibration'):
        fails(servo_bus.path, 'nobody', '--id nobody')
    with subtests.test('busy port'):
        port = SerialPort(servo_bus.path)
        fails(servo_bus.path, calibration_path, 'in use by another process')
        port.close()
    with subtests.test('another calibration'):
        servo_bus.set(6, HOMING_OFFSET, 500)
        fails(servo_bus.path, calibration_path, 'gripper homing offset is 500, not 30')


def test_an_interrupt_while_it_waits_for_the_port_ends_it(
    calibration_path: Path, client: Client
) -> None:
    process = start('/dev/no_such_port', calibration_path, timeout=600.0)
    client.wait(lambda: client.statuses['driver/arm'].get('state') == 'disconnected')
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0
    process.communicate()
