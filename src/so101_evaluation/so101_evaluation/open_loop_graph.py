"""A ROS graph of two: the policy node, and a node that plays an episode to it. No arm hears them.

It has a domain of its own, where no other suite is, within it a namespace of its own, and stays on
this machine: what the policy says reaches no driver, and what a robot says does not reach it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from so101_cameras.publisher import CameraPublisher
from so101_description.joints import JOINTS
from so101_description.units import radians_to_dataset
from so101_episodes.recorded_episode import Event, Frame, Observations, Reading
from so101_evaluation.prediction_error import Prediction
from so101_node import dds
from so101_node.error import UserError
from so101_node.lifetime import END_WITH_PARENT
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds, to_nanoseconds
from so101_node.topics import (
    ACTION_CHUNK,
    CAMERAS,
    DIAGNOSTICS,
    JOINT_STATES,
    POLICY_ENABLE,
    TASK,
)
from so101_policy import checkpoint as policy_checkpoint

POLICY = 'so101_policy.policy_node'

# The highest domains whose ports no other program gets on Linux. Source: the ROS 2 documentation,
# "The ROS_DOMAIN_ID".
_DOMAINS = ('101', '100')

_WARM_TIMEOUT = 180.0  # s; a large model is loaded and has inferred by then
_REFUSALS = 12.0  # s of policy/enable saying no: its inputs have to arrive first
_STILL_PERIOD = 0.01  # s between two joint states before the episode begins
_STILL_FRAMES = 3  # joint states to an image of each camera
_LEAD = 100_000_000  # ns from the last message before the episode to the first of it
_LAST_CHUNK = 60.0  # s after the episode: an inference may take longer than an episode
_ANSWER_TIMEOUT = 30.0  # s
_RETRY = 0.5  # s
_IN_FLIGHT = 0.3  # s after which a published image has arrived, or never will
_HEALTH_TIMEOUT = 5.0  # s; /diagnostics comes once a second
_STOP_TIMEOUT = 15.0  # s
_LONGEST_SPIN = 0.1  # s until it is seen that the policy ended, or that Ctrl-C was pressed


@dataclass(frozen=True)
class Played:
    """What came of it: predictions in the recording's time, and how well it was played.

    `lost`: images that did not arrive, as the policy node counts them; None when it does not say.
    `lateness`: how long after its time each image was published, seconds.
    """

    predictions: list[Prediction]
    lost: int | None
    lateness: list[float]


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which both nodes run: away from the domain of `environment`."""
    taken = environment.get('ROS_DOMAIN_ID', '').strip()
    domain = next(domain for domain in _DOMAINS if domain != taken)
    kept = {
        name: text
        for name, text in environment.items()
        if name not in ('ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER', 'ROS_LOCALHOST_ONLY')
    }
    # A segment that holds images; as so101_bringup's wiring has it.
    return {
        **dds.profile(),
        **kept,
        'ROS_DOMAIN_ID': domain,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        END_WITH_PARENT: str(os.getpid()),
    }


def namespace() -> str:
    return f'/open_loop_{os.getpid()}'


def play(
    episode: Observations,
    checkpoint: Path,
    mode: str,
    task: str,
    say: Callable[[str], None],
    advance: Callable[[float], None],
) -> Played:
    """Play the episode in real time to a policy node of its own.

    `say` is told what the policy node prints, `advance` the seconds played so far. Nothing is
    left running when it returns, also by an exception. Raises UserError when the policy refuses,
    ends or predicts nothing.
    """
    environment = isolated(os.environ)
    with (
        _policy_process(checkpoint, mode, environment, say) as policy,
        _player(task, environment) as player,
    ):
        graph = _Graph(policy, player)
        before = graph.enable_policy(episode)
        shift, lateness = graph.play(episode, advance)
        said = player.health
        after = graph.missing()
    begun = min(event.stamp for event in episode.first)
    predictions = [_prediction(chunk, shift) for chunk in player.chunks]
    predictions = [chunk for chunk in predictions if begun <= chunk.observed <= episode.ended]
    if not predictions:
        raise UserError(
            f'{checkpoint}: the policy predicted nothing in {episode.duration:.1f} s; it said: '
            f'{said or "nothing"}'
        )
    lost = None if before is None or after is None else after - before
    return Played(predictions, lost, lateness)


class _Graph:
    """The two nodes, one of them ours, and what is done with them, in order."""

    def __init__(self, policy: '_Policy', player: '_Player') -> None:
        self._policy = policy
        self._player = player
        self._enable = player.client(POLICY_ENABLE)

    def enable_policy(self, episode: Observations) -> int | None:
        """Show the episode's first images and joint state until the policy is enabled.

        Return what missing() said shortly before: images that came before it listened.
        """
        if not self._show(episode.first, self._enable.service_is_ready, _WARM_TIMEOUT):
            raise UserError(
                f'the policy was not ready within {_WARM_TIMEOUT:.0f} s; it said: '
                f'{self._player.health or "nothing"}'
            )
        missing = self.missing()
        deadline = time.monotonic() + _REFUSALS
        while not (answer := self._switch(True, episode.first)).success:
            if time.monotonic() > deadline:
                raise UserError(f'the policy refuses to begin: {answer.message}')
            self._show(episode.first, lambda: False, _RETRY)
        return missing

    def play(
        self, episode: Observations, advance: Callable[[float], None]
    ) -> tuple[int, list[float]]:
        """Play in real time, and wait until all that was seen has been answered.

        Return what was added to each time of the recording, nanoseconds, and how late each image
        was, seconds.
        """
        shift = time.time_ns() + _LEAD - min(event.stamp for event in episode.first)
        lateness = []
        last: dict[str, Event] = {}
        for received, event in episode.events():
            due = received + shift
            self._wait(lambda: False, (due - time.time_ns()) * 1e-9)
            self._player.publish(event, event.stamp + shift)
            if isinstance(event, Frame):
                lateness.append((time.time_ns() - due) * 1e-9)
                last[event.camera] = event
            else:
                last[''] = event
            advance((received - episode.started) * 1e-9)
        # A policy whose inputs fall silent would hold, and forget what it infers.
        end = time.time_ns()
        self._show(list(last.values()), lambda: self._player.answered > end, _LAST_CHUNK)
        self._switch(False, list(last.values()))
        return shift, lateness

    def missing(self) -> int | None:
        """Return how many of the images published so far the policy node has not received.

        Of the cameras that its policy uses. None when it does not say.
        """
        player = self._player
        self._wait(lambda: False, _IN_FLIGHT)
        player.counts.clear()
        self._wait(lambda: bool(player.counts), _HEALTH_TIMEOUT)
        received = {
            camera: int(player.counts[key])
            for camera in CAMERAS
            if (key := f'{camera}_received') in player.counts
        }
        if not received:
            return None
        return player.published(received) - sum(received.values())

    def _switch(self, on: bool, still: Sequence[Event]) -> Any:
        """Enable or disable the policy; return its answer."""
        answer = self._enable.call_async(POLICY_ENABLE.type.Request(data=on))
        if not self._show(still, answer.done, _ANSWER_TIMEOUT):
            raise UserError(f'{POLICY_ENABLE.name} gave no answer in {_ANSWER_TIMEOUT:.0f} s')
        return answer.result()

    def _show(self, still: Sequence[Event], condition: Callable[[], bool], timeout: float) -> bool:
        """Publish the same, as if it were of now, until `condition`; return whether it came."""
        deadline = time.monotonic() + timeout
        for number in count():
            for event in still:
                if isinstance(event, Reading) or number % _STILL_FRAMES == 0:
                    self._player.publish(event, time.time_ns())
            if self._wait(condition, _STILL_PERIOD):
                return True
            if time.monotonic() > deadline:
                return False
        raise AssertionError('unreachable')

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Return whether `condition` came true within `timeout` seconds; messages come meanwhile.

        Raises UserError when the policy node ended.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self._policy.check()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._player.spin_once(min(left, _LONGEST_SPIN))
        return True


class _Player(Node):
    """Publishes what was recorded, keeps what the policy says."""

    def __init__(self, task: str) -> None:
        super().__init__('open_loop')
        self.chunks: list[JointTrajectory] = []
        self.health = ''
        self.counts: dict[str, str] = {}  # of the policy's status that counts the images
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._cameras = {name: CameraPublisher(self, name, CameraInfo()) for name in CAMERAS}
        self._joints = self.publisher(JOINT_STATES)
        self._task = self.publisher(TASK)
        self._task.publish(String(data=task))
        self.subscribe(ACTION_CHUNK, self.chunks.append)
        self.subscribe(DIAGNOSTICS, self._take_health)

    @property
    def answered(self) -> int:
        """Capture time of the last observation that was answered, nanoseconds; 0: none was."""
        return to_nanoseconds(self.chunks[-1].header.stamp) if self.chunks else 0

    def published(self, cameras: Iterable[str]) -> int:
        """Images published, of these cameras."""
        return sum(self._cameras[camera].published for camera in cameras)

    def spin_once(self, timeout: float) -> None:
        self._executor.spin_once(timeout_sec=timeout)

    def publish(self, event: Event, stamp: int) -> None:
        """Publish an event of the recording as if it were of `stamp`, nanoseconds."""
        if isinstance(event, Frame):
            self._cameras[event.camera].publish(event.pixels, stamp)
            return
        message = JointState(name=event.names, position=event.positions)
        message.header.stamp = from_nanoseconds(stamp)
        self._joints.publish(message)

    def close(self) -> None:
        self._executor.shutdown()
        self.destroy_node()

    def _take_health(self, message: DiagnosticArray) -> None:
        self.health = '; '.join(status.message for status in message.status)
        for status in message.status:
            if status.name.endswith('policy/observation'):
                self.counts = {pair.key: pair.value for pair in status.values}


@contextmanager
def _player(task: str, environment: Mapping[str, str]) -> Iterator[_Player]:
    before = dict(os.environ)
    _set_environment(environment)  # DDS reads it
    try:
        rclpy.init(args=_arguments(), signal_handler_options=SignalHandlerOptions.NO)
        try:
            with closing(_Player(task)) as player:
                yield player
        finally:
            rclpy.shutdown()
    finally:
        _set_environment(before)


def _set_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


class _Policy:
    """The policy node's process. `said`: its last line."""

    def __init__(self, process: 'subprocess.Popen[str]', say: Callable[[str], None]) -> None:
        self._process = process
        self._say = say
        self._said = ''
        self._reader = threading.Thread(target=self._read, daemon=True, name='policy output')
        self._reader.start()

    def check(self) -> None:
        """Raise UserError when the process has ended, with the last that it said."""
        code = self._process.poll()
        if code is None:
            return
        self._reader.join(1.0)
        raise UserError(self._said or f'the policy node ended with code {code}, without a word')

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(1.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line := line.strip():
                self._said = line
                self._say(line)


# Actions from one observation to the next; a chunk may be shorter.
_INTERVAL = 10


@contextmanager
def _policy_process(
    checkpoint: Path, mode: str, environment: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[_Policy]:
    parameters = {
        'checkpoint': str(checkpoint),
        'mode': mode,
        'on_mismatch': 'warn',  # nothing moves: what does not fit is said, and judged
        'untrained': True,
        'interval': min(_INTERVAL, policy_checkpoint.read(checkpoint).chunk_size),
    }
    given = [text for k, v in parameters.items() for text in ('-p', f'{k}:={json.dumps(v)}')]
    # A session of its own: Ctrl-C in the terminal is for this process, which then ends the node.
    process = subprocess.Popen(
        [sys.executable, '-m', POLICY, *_arguments(), *given],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
        start_new_session=True,
    )
    with closing(_Policy(process, say)) as policy:
        yield policy


def _arguments() -> list[str]:
    """Return the ROS arguments of both nodes: every name of theirs within the namespace."""
    remaps = (f'__ns:={namespace()}', f'{DIAGNOSTICS.name}:={namespace()}{DIAGNOSTICS.name}')
    return ['--ros-args', *(text for remap in remaps for text in ('-r', remap))]


def _prediction(chunk: JointTrajectory, shift: int) -> Prediction:
    """Return a chunk in the recording's time; raises UserError for one that cannot be compared."""
    order = [list(chunk.joint_names).index(joint) for joint in JOINTS]
    radians = np.array([point.positions for point in chunk.points])[:, order]
    if not np.isfinite(radians).all():
        raise UserError('the policy predicted an action that is not finite')
    start, end = (
        point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
        for point in (chunk.points[0], chunk.points[-1])
    )
    return Prediction(
        observed=to_nanoseconds(chunk.header.stamp) - shift,
        period=round((end - start) / max(len(chunk.points) - 1, 1)),
        actions=radians_to_dataset(radians),
    )
