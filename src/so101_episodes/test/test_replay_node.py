"""The replay node and the driver on an emulated bus: what servos are told, and how it ends."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from so101_description.joints import HOME, JOINTS
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_episodes.bag import Bag, Channel, message_definitions
from so101_episodes.stream import BRAKING
from so101_node.stamp import to_nanoseconds
from so101_node.topics import (
    ARM_CLEAR_FAULT,
    ARM_STOP,
    DIAGNOSTICS,
    EPISODE_NOTES,
    EPISODE_START,
    EPISODE_STOP,
    REFERENCE,
    TASK,
)
from so101_sim.guided_arm import GuidedArm
from so101_sim.serial_device import SerialDevice

pytestmark = pytest.mark.alone

MODULE = 'so101_episodes.replay_node'
CALIBRATION = Path(__file__).parents[2] / 'so101_sim' / 'config' / 'calibration.json'
START = 1_700_000_000_000_000_000
TICK = 2 * np.pi / 4096
WAY = np.array([0.3, 0.5, -0.4, -0.3, -0.6, 0.3])  # rad
TIMEOUT = 60.0  # s
PACE = 2.4  # rad/s of a cosine: 1.44 rad/s and 3.5 rad/s^2 at most


class StillHand:
    def take(self, joints: np.ndarray, angles: np.ndarray, seconds: float) -> None:
        """Nothing: it has none in its grip."""

    def pose(self, seconds: float) -> np.ndarray:
        return HOME


class Robot:
    """A driver on an emulated bus, what it tells its servos, and what others hear."""

    def __init__(self, graph: Any, folder: Path) -> None:
        self.calibration: Calibration = load(CALIBRATION)
        self.arm = GuidedArm(self.calibration, StillHand(), time.monotonic_ns())
        self.device = SerialDevice(
            folder / 'arm', lambda data: self.arm.receive(data, time.monotonic_ns())
        )
        self.references: list[JointState] = []
        self.statuses: dict[str, dict[str, str]] = {}
        self.states: list[str] = []  # of the replay, as they came
        graph.node.subscribe(REFERENCE, self.references.append)
        graph.node.subscribe(DIAGNOSTICS, self._hear)
        self.driver = graph.start(
            'so101_driver.driver_node', port=folder / 'arm', calibration=CALIBRATION
        )

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statuses[status.name] = said = {p.key: p.value for p in status.values}
            if status.name == 'replay/progress' and said['state'] not in self.states[-1:]:
                self.states.append(said['state'])

    def told(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times (s since START's day), positions and velocities that the servos had."""
        heard = list(self.references)
        times = np.array([to_nanoseconds(m.header.stamp) for m in heard]) * 1e-9
        return (
            times,
            np.array([m.position for m in heard]),
            np.array([m.velocity for m in heard]),
        )

    def speed(self) -> float:
        """Return how fast the servos are told to move now, rad/s."""
        return float(np.abs(self.references[-1].velocity).max()) if self.references else 0.0

    def close(self) -> None:
        self.driver.terminate()
        self.driver.communicate()
        self.device.close()


@pytest.fixture
def robot(graph: Any, tmp_path: Path) -> Iterator[Robot]:
    robot = Robot(graph, tmp_path)
    try:
        graph.wait_for(lambda: 'driver/arm' in robot.statuses, 'driver')
        yield robot
    finally:
        robot.close()


def way(seconds: np.ndarray) -> np.ndarray:
    return HOME + (1 - np.cos(PACE * np.atleast_1d(seconds)))[:, None] * WAY


def record(folder: Path, seconds: float = 2 * np.pi / PACE, size: float = 1.0) -> Path:
    """Record a motion from home and back as the driver says it: 200 times a second, in ticks."""
    store = message_definitions()
    kinds = store.types
    topic, kind = f'/{REFERENCE.name}', REFERENCE.type_name
    bag = Bag(folder, [Channel(topic, kind, REFERENCE.qos.depth, reliable=True, latched=False)])
    for moment in np.arange(0.0, seconds, 0.005):
        pose = HOME + size * (way(moment)[0] - HOME)
        stamp = START + round(moment * 1e9)
        message = kinds[kind](
            header=kinds['std_msgs/msg/Header'](
                stamp=kinds['builtin_interfaces/msg/Time'](*divmod(stamp, 1_000_000_000)),
                frame_id='',
            ),
            name=list(JOINTS),
            position=np.round(pose / TICK) * TICK,
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )
        bag.write(topic, bytes(store.serialize_cdr(message, kind)), stamp + 1_000_000)
    bag.close()
    return folder


def replay(graph: Any, episode: Path, **parameters: Any) -> 'subprocess.Popen[str]':
    return graph.start(MODULE, episode=episode, start_pause=0.0, **parameters)


def test_the_servos_are_told_what_was_recorded(graph: Any, robot: Robot, tmp_path: Path) -> None:
    calls: list[str] = []
    notes: list[str] = []
    graph.node.subscribe(EPISODE_NOTES, lambda message: notes.append(message.data))
    graph.node.subscribe(TASK, lambda message: notes.append(message.data))
    for service in (EPISODE_START, EPISODE_STOP):

        def answer(_: Any, service: Any = service) -> tuple[bool, str]:
            calls.append(service.name)
            return True, 'recordings/1'

        graph.node.serve(service, answer)
    process = replay(graph, record(tmp_path / 'bag'), record=True)
    output, error = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, error) == (0, '')
    assert calls == ['episodes/start', 'episodes/stop']
    assert notes == ['{"kind": "", "checkpoint": "", "place": ""}', '']
    lines = output.splitlines()
    assert lines[0] == f'the arm moves to the start of {tmp_path / "bag"} in 0 s'
    assert lines[1] == 'recorded: recordings/1'
    assert lines[2].startswith(f'{tmp_path / "bag"}: 2.9 s replayed; measured against commanded: ')
    assert len(lines) == 3
    graph.wait_for(lambda: robot.statuses['driver/arm']['state'] == 'idle', 'torque off')
    assert robot.states[0] == 'waiting' or robot.states[:2] == ['reading', 'waiting']
    graph.wait_for(lambda: robot.states[-1] == 'done', 'the last word')
    assert robot.states[-5:] == ['starting', 'replaying', 'holding', 'homing', 'done']
    said = robot.statuses['replay/progress']
    assert (float(said['seconds']), said['episode']) == (
        pytest.approx(float(said['of'])),
        str(tmp_path / 'bag'),
    )
    assert 0.1 < float(said['shoulder_lift_rms_deg']) < 10  # its servos are 40 ms behind
    assert robot.statuses['driver/arm']['trajectories_rejected'] == '0'

    times, positions, velocities = robot.told()
    # The way there, but for 0.3 s in which the arm gets up to its speed.
    began = times[np.argmax(np.abs(velocities).max(axis=1) > 0.5)]
    played = (times > began + 0.3) & (times < began + 0.9)
    # Of each pose, what it is off the way, and when on the way the nearest one was. A busy
    # computer stamps a pose later than it was meant for.
    asked = np.arange(0.3, 1.3, 1e-3)
    off = np.abs(positions[played][:, None] - way(asked)).max(axis=2)
    late = times[played] - asked[off.argmin(axis=1)]
    late -= np.median(late)
    assert off.min(axis=1).max() < 1.5 * TICK
    assert np.sqrt((late**2).mean()) < 0.005
    # The motion's own is 3.5 rad/s^2; a bit that does not fit would cost the driver's 40.
    assert hardest(times[played], velocities[played]) < 7


def test_a_killed_node_leaves_the_arm_moving_for_a_second_at_most(
    graph: Any, robot: Robot, tmp_path: Path
) -> None:
    process = replay(graph, record(tmp_path / 'bag', seconds=10.0))
    wait_for_motion(graph, robot, 1.2)
    process.kill()
    killed = time.time()
    graph.wait_for(lambda: robot.speed() == 0, 'standstill')
    times, _, velocities = robot.told()
    stopped = times[np.flatnonzero(np.abs(velocities).max(axis=1))[-1]]
    assert stopped - killed < 1.0
    late = times > killed
    assert hardest(times[late], velocities[late]) < 2 * BRAKING  # the driver's limit is 40


def wait_for_motion(graph: Any, robot: Robot, speed: float) -> None:
    """Wait until the servos are told to move at a speed, rad/s, in the middle of a replay."""
    for state in ('waiting', 'starting', 'replaying'):
        graph.wait_for(lambda state=state: state in robot.states, state)
    graph.wait_for(lambda: robot.speed() > speed, 'motion')


def hardest(times: np.ndarray, velocities: np.ndarray) -> float:
    """Return the largest acceleration, rad/s^2, as a mean over 30 ms: stamps are not exact."""
    later = np.searchsorted(times, times + 0.03)
    now = np.flatnonzero(later < len(times))
    later = later[now]
    changes = velocities[later] - velocities[now]
    return float(np.abs(changes / (times[later] - times[now])[:, None]).max())


def test_a_stopped_arm_is_held_then_goes_home(graph: Any, robot: Robot, tmp_path: Path) -> None:
    process = replay(graph, record(tmp_path / 'bag', seconds=10.0))
    wait_for_motion(graph, robot, 1.2)
    assert graph.call(ARM_STOP)[0]
    said = [process.stdout.readline() for _ in range(2)][-1]
    assert said.startswith('stopped by arm/stop')
    assert said.endswith('The arm is held; Ctrl-C lets go of it\n')
    graph.wait_for(lambda: robot.speed() == 0, 'standstill')
    held = np.array(robot.references[-1].position)
    assert np.abs(held - HOME).max() > 0.05
    assert graph.call(ARM_CLEAR_FAULT)[0]
    _, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert error.startswith('replay: stopped by arm/stop')
    assert np.array(robot.references[-1].position) == pytest.approx(HOME, abs=0.01)
    graph.wait_for(lambda: robot.statuses['driver/arm']['state'] == 'idle', 'torque off')


def test_ctrl_c_brakes_at_once_and_leaves_the_torque(
    graph: Any, robot: Robot, tmp_path: Path
) -> None:
    process = replay(graph, record(tmp_path / 'bag', seconds=10.0))
    wait_for_motion(graph, robot, 1.2)
    process.send_signal(signal.SIGINT)
    asked = time.time()
    _, error = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, error) == (0, '')
    graph.wait_for(lambda: robot.speed() == 0, 'standstill')
    times, _, velocities = robot.told()
    stopped = times[np.flatnonzero(np.abs(velocities).max(axis=1))[-1]]
    assert stopped - asked < 0.5
    late = times > asked
    assert hardest(times[late], velocities[late]) < 2 * BRAKING
    assert robot.statuses['driver/arm']['state'] in ('holding', 'active')


def test_a_node_that_was_held_up_goes_home_and_says_so(
    graph: Any, robot: Robot, tmp_path: Path
) -> None:
    process = replay(graph, record(tmp_path / 'bag', seconds=10.0))
    wait_for_motion(graph, robot, 1.2)
    process.send_signal(signal.SIGSTOP)
    graph.wait_for(lambda: robot.speed() == 0, 'standstill')
    process.send_signal(signal.SIGCONT)
    _, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert error.startswith('replay: the arm was stopped: this computer was held up for')
    assert np.array(robot.references[-1].position) == pytest.approx(HOME, abs=0.01)


def test_what_is_not_for_this_arm_is_refused_before_it_moves(
    graph: Any, robot: Robot, tmp_path: Path
) -> None:
    process = replay(graph, record(tmp_path / 'bag', size=-1.0))
    output, error = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (1, '')
    assert error.startswith('replay: shoulder_lift is at -2.8')
    assert 'outside the limits of this arm' in error
    assert not robot.references


@pytest.mark.parametrize(
    ('parameters', 'said'),
    [
        ({'max_velocity': 1.0}, 'are allowed (max_velocity): give speed 0.6'),
        ({'episode': "''"}, 'parameter episode: give the folder of an episode'),
    ],
)
def test_what_is_wrong_is_said_at_once(
    graph: Any, tmp_path: Path, parameters: dict[str, Any], said: str
) -> None:
    process = graph.start(MODULE, **{'episode': record(tmp_path / 'bag'), **parameters})
    _, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert said in error
    assert len(error.splitlines()) == 1
