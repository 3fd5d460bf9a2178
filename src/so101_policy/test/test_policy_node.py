"""The policy node among a robot's topics."""

import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from so101_description.joints import HOME, JOINTS
from so101_node import topics
from so101_node.node import Node
from so101_node.stamp import to_nanoseconds

FPS = 30


class Robot:
    """Publishes what cameras and driver do, and keeps what the policy says."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        rclpy.init()
        self.node = Node('robot')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.images: set[int] = set()
        self.chunks: list[JointTrajectory] = []
        self.trajectories: list[JointTrajectory] = []
        self._pixels = array('B', bytes(480 * 640 * 3))
        self._publishers = [self.node.publisher(topics.CAMERAS[c].image) for c in cameras]
        self._joints = self.node.publisher(topics.JOINT_STATES)
        self.task = self.node.publisher(topics.TASK)
        self.enable = self.node.client(topics.POLICY_ENABLE)
        self.reset = self.node.client(topics.POLICY_RESET)
        self.node.subscribe(topics.ACTION_CHUNK, self.chunks.append)
        self.node.subscribe(topics.JOINT_TRAJECTORY, self.trajectories.append)
        self.node.create_timer(1 / FPS, self._publish_images)
        self.node.create_timer(0.01, self._publish_joints)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def wait(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.1)

    def call(self, client: Any, request: Any) -> Any:
        self.wait(client.service_is_ready)
        future = client.call_async(request)
        self.wait(future.done)
        return future.result()

    def _publish_images(self) -> None:
        stamp = self.node.get_clock().now().to_msg()
        self.images.add(to_nanoseconds(stamp))
        for publisher in self._publishers:
            message = Image(height=480, width=640, step=1920, encoding='rgb8', data=self._pixels)
            message.header.stamp = stamp
            publisher.publish(message)

    def _publish_joints(self) -> None:
        message = JointState(name=list(JOINTS), position=HOME.tolist())
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._joints.publish(message)


def start(folder: Path, **parameters: Any) -> subprocess.Popen[str]:
    given = {'checkpoint': folder, 'threads': 1, **parameters}
    arguments = [text for k, v in given.items() for text in ('-p', f'{k}:={v}')]
    return subprocess.Popen(
        [sys.executable, '-m', 'so101_policy.policy_node', '--ros-args', *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def end() -> Iterator[Callable[[subprocess.Popen[str]], subprocess.Popen[str]]]:
    """Return a function that registers a process to be ended, come what may."""
    started: list[subprocess.Popen[str]] = []

    def register(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        started.append(process)
        return process

    yield register
    for process in started:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def test_it_moves_the_arm_at_the_times_of_its_observations(smolvla: Path, end: Any) -> None:
    with closing(Robot(('wrist', 'overhead'))) as robot:
        process = end(start(smolvla, execution_horizon=10))
        refused = robot.call(robot.enable, SetBool.Request(data=True))
        assert not refused.success
        assert 'no task on policy/task' in refused.message
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: robot.call(robot.enable, SetBool.Request(data=True)).success)
        robot.wait(lambda: len(robot.chunks) >= 4 and len(robot.trajectories) >= 4)
        assert robot.call(robot.reset, Trigger.Request()).success
        seen = len(robot.chunks)
        robot.wait(lambda: len(robot.chunks) >= seen + 2)
        assert robot.call(robot.enable, SetBool.Request(data=False)).success
        robot.wait(lambda: len(robot.trajectories[-1].points) == 1)
        *executed, hold = robot.trajectories
        robot.wait(lambda: len(robot.chunks) >= len(executed))
        assert timed_positions(hold).items() <= timed_positions(executed[-1]).items()

        predicted = {to_nanoseconds(chunk.header.stamp): chunk for chunk in robot.chunks}
        assert set(predicted) <= robot.images, 'a chunk carries the capture time of its image'
        for chunk in predicted.values():
            assert list(chunk.joint_names) == list(JOINTS)
            ticks = [after(point) for point in chunk.points]
            assert ticks == [round(i * 1e9 / FPS) for i in range(50)]
        for trajectory in executed:
            commands = timed_positions(trajectory)
            observed = max(commands) - round(49 * 1e9 / FPS)
            actions = timed_positions(predicted[observed])
            assert commands == {t: p for t, p in actions.items() if t >= min(commands)}
            assert min(commands) > observed

        [inference] = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert not Path(f'/proc/{inference}').exists()


def test_a_camera_that_never_delivers_is_named_and_a_dead_inference_ends_the_node(
    smolvla: Path, end: Any
) -> None:
    with closing(Robot(('wrist',))) as robot:
        process = end(start(smolvla, camera_timeout=0.2))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: 'no task' not in enabling(robot).message)
        answer = enabling(robot)
        assert not answer.success
        assert 'overhead camera (overhead_camera/image_raw)' in answer.message
        assert 'wrist' not in answer.message
        os.kill(children(process.pid)[0], signal.SIGKILL)
        said = process.communicate(timeout=20)[1]
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith(
            'policy: the inference process ended (exit code -9)'
        )


def test_a_missing_checkpoint_is_one_clear_line(tmp_path: Path, end: Any) -> None:
    process = end(start(tmp_path / 'nowhere'))
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert said.endswith(
        f' checkpoint {tmp_path}/nowhere: no such folder; give the path of a checkpoint\n'
    )
    assert said.count('\n') == 1


def enabling(robot: Robot) -> Any:
    return robot.call(robot.enable, SetBool.Request(data=True))


def timed_positions(message: JointTrajectory) -> dict[int, list[float]]:
    """Time of each point, nanoseconds -> its positions."""
    start = to_nanoseconds(message.header.stamp)
    return {start + after(point): list(point.positions) for point in message.points}


def after(point: Any) -> int:
    return point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
