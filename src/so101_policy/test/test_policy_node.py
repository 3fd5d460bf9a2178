"""The policy node among a robot's topics."""

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
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
TICK = 1_000_000_000 // FPS


class Robot:
    """Publishes what cameras and driver do, and keeps what the policy says."""

    def __init__(self, cameras: tuple[str, ...], brightness: int = 128) -> None:
        rclpy.init()
        self.node = Node('robot')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.images: set[int] = set()
        self.chunks: list[JointTrajectory] = []
        self.trajectories: list[JointTrajectory] = []
        self._motions: list[Motion] = []  # the latest that has begun, and those to come
        self._pixels = array('B', bytes([brightness]) * (480 * 640 * 3))
        self.show: dict[str, array] = {}  # instead, by some cameras
        self.heights: dict[str, int] = {}  # of other images than 480 rows, by some cameras
        self.every: dict[str, int] = {}  # how many images one comes of, from some cameras
        self._publishers = {c: self.node.publisher(topics.CAMERAS[c].image) for c in cameras}
        self._statuses: dict[str, DiagnosticStatus] = {}
        self._joints = self.node.publisher(topics.JOINT_STATES)
        self.task = self.node.publisher(topics.TASK)
        self.checkpoint = self.node.publisher(topics.POLICY_CHECKPOINT)
        self.states: list[str] = []  # of the policy, one after the other
        self.enable = self.node.client(topics.POLICY_ENABLE)
        self.reset = self.node.client(topics.POLICY_RESET)
        self.node.subscribe(topics.ACTION_CHUNK, self.chunks.append)
        self.node.subscribe(topics.JOINT_TRAJECTORY, self._take_trajectory)
        self.node.subscribe(topics.DIAGNOSTICS, self._take_health)
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
        self._pixels[len(self.images) % 640] ^= 1  # a live camera makes no two alike
        for camera, publisher in self._publishers.items():
            if len(self.images) % self.every.get(camera, 1):
                continue
            height = self.heights.get(camera, 480)
            data = self.show.get(camera, self._pixels)[: height * 1920]
            message = Image(height=height, width=640, step=1920, encoding='rgb8', data=data)
            message.header.stamp = stamp
            publisher.publish(message)

    def silence(self, camera: str) -> tuple[str, Any]:
        return camera, self._publishers.pop(camera)

    def speak(self, silent: tuple[str, Any]) -> None:
        self._publishers[silent[0]] = silent[1]

    def status(self, name: str) -> tuple[str, dict[str, str]]:
        """Return the last message and values of that name, '' and none before the first."""
        found = self._statuses.get(name, DiagnosticStatus())
        return found.message, {pair.key: pair.value for pair in found.values}

    def _take_health(self, message: DiagnosticArray) -> None:
        self._statuses |= {status.name: status for status in message.status}
        state = self.status('policy/inference')[1].get('state')
        if state and state != (self.states or [''])[-1]:
            self.states.append(state)

    def _take_trajectory(self, message: JointTrajectory) -> None:
        self.trajectories.append(message)
        self._motions.append(Motion(message))

    def _publish_joints(self) -> None:
        """Be where the trajectories lead, a tenth of a second later."""
        now = self.node.get_clock().now()
        past = now.nanoseconds - 100_000_000
        while len(self._motions) > 1 and self._motions[1].start <= past:
            del self._motions[0]
        pose = HOME
        if self._motions and self._motions[0].start <= past:
            pose = self._motions[0].at(np.array([past]))[0]
        message = JointState(name=list(JOINTS), position=pose.tolist())
        message.header.stamp = now.to_msg()
        self._joints.publish(message)


class Motion:
    """A trajectory message as a driver reads it, roughly: lines between its points."""

    def __init__(self, message: JointTrajectory) -> None:
        self.start = to_nanoseconds(message.header.stamp)
        self.times = np.array([self.start + after(point) for point in message.points])
        self.positions = np.array([point.positions for point in message.points])
        self.velocities = np.array([point.velocities for point in message.points])
        self.end = int(self.times[-1])

    def at(self, times: Any) -> Any:
        return np.stack([np.interp(times, self.times, row) for row in self.positions.T], axis=1)


def check_continuity(messages: list[JointTrajectory]) -> None:
    """Each trajectory begins where the one before is, as fast, and ends at rest."""
    motions = [Motion(message) for message in messages]
    for before, motion in pairwise(motions):
        gap = np.abs(motion.positions[0] - before.at([motion.start])[0]).max()
        assert gap < np.deg2rad(0.5), 'lines between points are not quite the motion'
        if motion.start < before.end:
            step = before.at([motion.start, motion.start + TICK])
            fast = np.diff(step, axis=0)[0] * FPS
            assert np.abs(motion.velocities[0] - fast).max() < 0.5
        assert not motion.velocities[-1].any()
        # The first point is two ticks before the second one.
        assert np.abs(np.diff(motion.positions[1:], 2, axis=0)).max() * FPS**2 < 15.5


def start(folder: Path | str, **parameters: Any) -> subprocess.Popen[str]:
    given = {'threads': 1, 'untrained': True, **parameters}
    if folder:
        given['checkpoint'] = folder
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
        process = end(start(smolvla))
        refused = enabling(robot)
        assert not refused.success
        assert 'no task on policy/task' in refused.message
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.chunks) >= 6 and len(robot.trajectories) >= 6)
        assert robot.call(robot.reset, Trigger.Request()).success
        seen = len(robot.chunks)
        robot.wait(lambda: len(robot.chunks) >= seen + 2)
        assert robot.call(robot.enable, SetBool.Request(data=False)).success
        robot.wait(lambda: len(robot.trajectories[-1].points) <= 0.5 * FPS)

        for chunk in robot.chunks:
            assert to_nanoseconds(chunk.header.stamp) in robot.images
            assert list(chunk.joint_names) == list(JOINTS)
            ticks = [after(point) for point in chunk.points]
            assert ticks == [round(i * 1e9 / FPS) for i in range(50)]
        check_continuity(robot.trajectories)
        last = Motion(robot.trajectories[-1])
        assert last.end < Motion(robot.trajectories[-2]).end, 'disabling cuts it short'

        # The way it went is nearest to a chunk at that chunk's times: to the last before the reset
        # that was followed. On a busy machine one may come while the arm holds.
        before = {to_nanoseconds(chunk.header.stamp): chunk for chunk in robot.chunks[:seen]}
        motions = [Motion(message) for message in robot.trajectories]
        observed, plan = [
            (first, motion)
            for first, second in pairwise(before)
            for motion in motions
            if first < motion.start < second and motion.end > first + 49 * TICK
        ][-1]
        chunk = before[observed]
        wanted = np.array([point.positions for point in chunk.points[25:45]])
        times = observed + TICK * np.arange(25, 45)
        off = {n: np.abs(plan.at(times + n * TICK) - wanted).mean() for n in (-10, -5, 0, 5, 10)}
        assert min(off, key=lambda n: off[n]) == 0, off

        [inference] = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert not Path(f'/proc/{inference}').exists()


@pytest.mark.parametrize('mode', ['ensemble', 'sync'])
def test_every_mode_moves_smoothly(smolvla: Path, end: Any, mode: str) -> None:
    with closing(Robot(('wrist', 'overhead'))) as robot:
        end(start(smolvla, mode=mode))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)
        check_continuity(robot.trajectories)
        if mode == 'sync':
            plans = [Motion(message) for message in robot.trajectories]
            whole = 49 * TICK
            assert all(b.start >= a.start + whole for a, b in pairwise(plans)), 'whole chunks'


def test_a_killed_inference_brakes_the_arm_and_it_goes_on_when_it_is_back(
    smolvla: Path, end: Any
) -> None:
    with closing(Robot(('wrist', 'overhead'))) as robot:
        process = end(start(smolvla))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)
        seen = len(robot.trajectories)
        killed = time.time_ns()
        os.kill(children(process.pid)[0], signal.SIGKILL)
        robot.wait(lambda: any(Motion(m).end < killed + 1.5e9 for m in robot.trajectories[seen:]))
        braked = len(robot.trajectories)
        stop = Motion(robot.trajectories[-1])
        assert stop.end - stop.start <= 0.5e9, 'at rest within half a second'
        robot.wait(lambda: robot.status('policy/motion')[0] == 'moving')
        robot.wait(lambda: len(robot.trajectories) >= braked + 2)
        check_continuity(robot.trajectories)
        assert robot.status('policy/inference')[1]['restarts'] == '1'


def test_an_inference_on_another_machine_may_end_and_come_back(smolvla: Path, end: Any) -> None:
    def inference_node() -> subprocess.Popen[str]:
        given = ('-p', f'checkpoint:={smolvla}', '-p', 'threads:=1')
        command = [sys.executable, '-m', 'so101_policy.inference_node', '--ros-args', *given]
        process: subprocess.Popen[str] = end(subprocess.Popen(command, stderr=-1, text=True))
        return process

    with closing(Robot(('wrist', 'overhead'))) as robot:
        policy = end(start('', inference='remote', inference_timeout=2.0))
        robot.wait(lambda: 'waiting for an inference node' in robot.status('policy/inference')[0])
        there = inference_node()
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)
        robot.wait(lambda: int(robot.status('policy/inference')[1]['request_bytes']) > 1000)
        assert robot.status('policy/inference')[1]['checkpoint'] == str(smolvla)
        robot.checkpoint.publish(String(data='elsewhere'))
        there.kill()
        robot.wait(lambda: robot.status('policy/motion')[0].startswith('holds: '))
        stop = Motion(robot.trajectories[-1])
        assert not stop.velocities[-1].any()
        inference_node()
        robot.wait(lambda: robot.status('policy/motion')[0] == 'moving')
        seen = len(robot.trajectories)
        robot.wait(lambda: len(robot.trajectories) >= seen + 2)
        check_continuity(robot.trajectories)
        policy.send_signal(signal.SIGINT)
        said = policy.communicate(timeout=20)[1]
        assert 'policy/checkpoint is ignored: with inference:=remote' in said


@pytest.mark.timeout(300)  # four programs that import torch start one after the other
def test_checkpoints_come_by_topic_and_none_of_them_ends_the_node(
    smolvla: Path, one_eyed: Path, copy_of: Callable[[Path], Path], tmp_path: Path, end: Any
) -> None:
    broken = copy_of(smolvla)
    config = json.loads((broken / 'config.json').read_text())
    config['max_state_dim'] = 16  # the weights have another
    (broken / 'config.json').write_text(json.dumps(config))

    with closing(Robot(('wrist', 'overhead'))) as robot:

        def ask(folder: Path, state: str) -> dict[str, str]:
            robot.checkpoint.publish(String(data=str(folder)))
            robot.wait(lambda: found()['asked'] == str(folder) and found()['state'] == state, 120)
            return found()

        def found() -> dict[str, str]:
            return {'asked': '', 'state': ''} | robot.status('policy/inference')[1]

        process = end(start(''))
        robot.task.publish(String(data='put the cube in the bowl'))
        assert 'publish its folder on policy/checkpoint' in enabling(robot).message
        robot.wait(lambda: found()['state'] == 'waiting')

        ask(smolvla, 'loading')
        [first] = children(process.pid)
        for call in (enabling(robot), robot.call(robot.reset, Trigger.Request())):
            assert (call.success, call.message) == (False, f'loads {smolvla}')
        assert ask(smolvla, 'ready')['checkpoint'] == str(smolvla)
        assert enabling(robot).success
        robot.wait(lambda: len(robot.trajectories) >= 3)
        ask(smolvla, 'running')
        seen = len(robot.trajectories)
        robot.wait(lambda: len(robot.trajectories) >= seen + 3 and int(found()['chunks']) > 3)
        assert children(process.pid) == [first], 'the same one again changes nothing'

        asked = time.time_ns()
        assert ask(one_eyed, 'loading')['chunks'] == '0'
        [second] = children(process.pid)
        assert second != first, 'the old one has ended'
        stop = Motion(robot.trajectories[-1])
        assert not stop.velocities[-1].any()
        assert stop.end <= asked + 1e9, 'the arm holds'
        assert robot.status('policy/motion')[0] == 'disabled'
        assert ask(one_eyed, 'ready')['cameras'] == 'wrist'
        robot.silence('overhead')  # nobody misses it
        assert enabling(robot).success
        braked = len(robot.trajectories)
        robot.wait(lambda: len(robot.trajectories) >= braked + 3)
        robot.wait(lambda: found()['state'] == 'running')

        nowhere = tmp_path / 'nowhere'
        assert f'{nowhere}: no such folder' in ask(nowhere, 'failed')['reason']
        assert children(process.pid) == []
        refused = enabling(robot)
        assert not refused.success
        assert f'{nowhere}: no such folder' in refused.message
        assert robot.call(robot.enable, SetBool.Request(data=False)).success
        assert 'LeRobot cannot load it' in ask(broken, 'failed')['reason']
        assert process.poll() is None
        check_continuity(robot.trajectories)
        assert robot.states == [
            *('waiting', 'loading', 'ready', 'running'),
            *('loading', 'ready', 'running'),
            *('failed', 'loading', 'failed'),
        ]


def test_a_camera_that_the_robot_lacks_is_not_waited_for_but_may_be_needed(
    smolvla: Path, one_eyed: Path, end: Any
) -> None:
    with closing(Robot(('wrist',))) as robot:
        process = end(start(one_eyed, cameras=['wrist']))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)
        robot.checkpoint.publish(String(data=str(smolvla)))
        robot.wait(lambda: robot.status('policy/inference')[1]['state'] == 'failed')
        assert 'needs the overhead camera, but there is only wrist' in enabling(robot).message
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_a_camera_that_stops_brakes_the_arm_and_its_return_goes_on(
    smolvla: Path, end: Any
) -> None:
    with closing(Robot(('wrist', 'overhead'))) as robot:
        end(start(smolvla, max_observation_age=0.3))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)
        silent = robot.silence('wrist')
        robot.wait(lambda: 'the wrist image is' in robot.status('policy/motion')[0])
        stop = Motion(robot.trajectories[-1])
        assert stop.end - stop.start <= 0.5e9
        robot.speak(silent)
        robot.wait(lambda: robot.status('policy/motion')[0] == 'moving')
        braked = len(robot.trajectories)
        robot.wait(lambda: len(robot.trajectories) >= braked + 2)
        check_continuity(robot.trajectories)


def test_a_camera_that_shows_nothing_holds_the_arm_until_it_is_well_and_a_slow_one_does_not(
    smolvla: Path, end: Any
) -> None:
    with closing(Robot(('wrist', 'overhead'))) as robot:
        end(start(smolvla))
        robot.task.publish(String(data='put the cube in the bowl'))
        robot.wait(lambda: enabling(robot).success)
        robot.wait(lambda: len(robot.trajectories) >= 3)

        def holds(reason: str) -> None:
            robot.wait(lambda: f'holds: {reason}' in robot.status('policy/motion')[0])
            assert reason in robot.status('policy/observation')[0]
            stop = Motion(robot.trajectories[-1])
            assert stop.end - stop.start <= 0.5e9
            sent, chunks = len(robot.trajectories), len(robot.chunks)
            seen = len(robot.images)
            robot.wait(lambda: len(robot.images) > seen + FPS)
            assert len(robot.trajectories) == sent, 'it stands'
            assert len(robot.chunks) <= chunks + 1, 'nothing is asked of what shows nothing'

        def goes_on() -> None:
            robot.wait(lambda: robot.status('policy/motion')[0] == 'moving')
            braked = len(robot.trajectories)
            robot.wait(lambda: len(robot.trajectories) >= braked + 2)

        robot.show['wrist'] = array('B', bytes(480 * 640 * 3))
        holds('the wrist picture is black: brightness 0 of 255; is its lens covered?')
        robot.show['wrist'] = array('B', b'\xff' * (480 * 640 * 3))
        holds('the wrist picture is white')
        robot.show.clear()
        goes_on()
        robot.heights['overhead'] = 240
        holds('the overhead images are 640x240, expected 640x480')
        robot.heights.clear()
        goes_on()
        robot.every['wrist'] = 2
        robot.wait(lambda: 'the wrist camera gives 15' in robot.status('policy/observation')[0])
        robot.wait(lambda: robot.status('policy/motion')[0] == 'moving')
        robot.every.clear()
        robot.wait(lambda: 'gives' not in robot.status('policy/observation')[0])
        check_continuity(robot.trajectories)


def test_what_the_policy_was_not_trained_on_is_refused_unless_it_is_meant(
    smolvla: Path, end: Any
) -> None:
    with closing(Robot(('wrist', 'overhead'), brightness=0)) as robot:
        for on_mismatch, accepted in (('refuse', False), ('warn', True)):
            process = end(start(smolvla, on_mismatch=on_mismatch))
            robot.task.publish(String(data='put the cube in the bowl'))
            robot.wait(lambda: 'no task' not in enabling(robot).message)
            answer = enabling(robot)
            assert answer.success == accepted
            assert accepted or 'black' in answer.message
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
            robot.wait(lambda: not robot.enable.service_is_ready())


def test_a_camera_that_never_delivers_is_named_and_an_inference_that_cannot_begin_ends_the_node(
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
        first = children(process.pid)[0]
        os.kill(first, signal.SIGKILL)
        robot.wait(lambda: children(process.pid) not in ([], [first]))
        os.kill(children(process.pid)[0], signal.SIGKILL)  # it is still loading
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


def after(point: Any) -> int:
    return point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
