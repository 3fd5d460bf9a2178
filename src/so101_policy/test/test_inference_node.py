"""The inference node as the robot's machine sees it, with a real policy."""

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String, UInt8MultiArray

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node import topics
from so101_node.node import Node
from so101_policy.inference import Chunk, InferenceEnded, Warm
from so101_policy.inference_message import decode_hello
from so101_policy.observation import Observation
from so101_policy.remote_inference import RemoteInference
from so101_policy.schedule import Guidance

PIXELS = np.random.default_rng(0).integers(0, 255, IMAGE_SHAPE, np.uint8)
OBSERVATION = Observation(dict.fromkeys(CAMERAS, PIXELS), np.zeros(6), captured=0)


class Robot:
    """A RemoteInference on a node that spins while the test waits."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node('robot')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.remote = RemoteInference(self.node, lambda: None)
        self.requests = self.node.publisher(topics.INFERENCE_REQUEST)
        self.reasons: list[str] = []  # that hellos gave
        self.node.subscribe(topics.INFERENCE_HELLO, self._take_hello)
        self.health: dict[str, str] = {}  # of the inference node
        self.node.subscribe(topics.DIAGNOSTICS, self._take_diagnostics)

    def close(self) -> None:
        self._executor.shutdown()
        self.remote.close()
        self.node.destroy_node()
        rclpy.shutdown()

    def wait[T](self, condition: Callable[[], T], seconds: float = 60.0) -> T:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.05)
        return found

    def heard(self) -> Warm | Chunk | None:
        return self.wait(self.remote.poll)

    def ends(self) -> InferenceEnded:
        with pytest.raises(InferenceEnded) as found:
            self.heard()
        return found.value

    def _take_hello(self, message: String) -> None:
        self.reasons.append(decode_hello(message.data).reason)

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        self.health = {item.key: item.value for item in message.status[0].values}


@pytest.fixture
def robot() -> Iterator[Robot]:
    found = Robot()
    yield found
    found.close()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts the node; it is ended, come what may."""
    started: list[subprocess.Popen[str]] = []

    def start_node(**parameters: object) -> subprocess.Popen[str]:
        arguments = [text for k, v in parameters.items() for text in ('-p', f'{k}:={v}')]
        command = [sys.executable, '-m', 'so101_policy.inference_node']
        process = subprocess.Popen(
            [*command, '--ros-args', *arguments], stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start_node
    for process in started:
        process.kill()
        process.communicate()


def child(process: subprocess.Popen[str]) -> int:
    [pid] = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    return int(pid)


def test_it_serves_a_policy_and_says_what_became_of_it(
    smolvla: Path, robot: Robot, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(checkpoint=smolvla, threads=1)
    warm = robot.heard()
    assert isinstance(warm, Warm)
    assert warm.guided
    assert robot.remote.checkpoint is not None
    assert robot.remote.checkpoint.path == smolvla

    robot.requests.publish(UInt8MultiArray(data=array('B', b'noise')))
    robot.wait(lambda: robot.health.get('bad') == '1')
    blind = replace(OBSERVATION, images={'wrist': PIXELS})
    robot.remote.ask(blind, 'put it in the bowl')
    robot.wait(lambda: robot.health.get('bad') == '2')
    robot.remote.restart()
    assert isinstance(robot.heard(), Warm)
    decided = np.tile([20.0, -40, 80, 80, 110, 40], (30, 1))
    robot.remote.ask(OBSERVATION, 'put it in the bowl', Guidance(decided, 10, 25))
    chunk = robot.heard()
    assert isinstance(chunk, Chunk)
    assert chunk.actions.shape == (50, 6)
    assert chunk.actions[:10] == pytest.approx(decided[:10], abs=1.5), 'guided as asked'

    os.kill(child(process), signal.SIGKILL)
    assert 'exit code -9' in str(robot.ends())
    robot.remote.restart()
    assert isinstance(robot.heard(), Warm)
    robot.remote.reset()
    robot.remote.ask(OBSERVATION, 'put it in the bowl')
    assert isinstance(robot.heard(), Chunk)

    process.send_signal(signal.SIGINT)
    assert 'its node was stopped' in str(robot.ends())
    assert process.wait(timeout=20) == 0


def test_why_it_cannot_begin_is_said_on_both_machines(
    smolvla: Path,
    copy_of: Callable[[Path], Path],
    robot: Robot,
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    folder = copy_of(smolvla)
    config = json.loads((folder / 'config.json').read_text())
    config['max_state_dim'] = 16  # the weights have another
    (folder / 'config.json').write_text(json.dumps(config))
    process = start(checkpoint=folder)
    said = robot.wait(lambda: next((reason for reason in robot.reasons if reason), ''))
    assert 'LeRobot cannot load it' in said
    assert robot.remote.poll() is None
    assert process.wait(timeout=20) == 1
    assert process.stderr is not None
    assert f'inference: {said}' in process.stderr.read()


def test_a_checkpoint_is_asked_for(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start()
    said = process.communicate(timeout=30)[1]
    assert said.endswith(': parameter checkpoint: none given; give the folder of a checkpoint\n')
    assert said.count('\n') == 1
    assert process.returncode == 1
