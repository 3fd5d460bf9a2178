"""open_loop on a synthetic episode: its figures, and that no arm could hear it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.typesys import Stores, get_typestore
from trajectory_msgs.msg import JointTrajectory

from so101_cameras.image import to_jpeg
from so101_description.joints import GRIPPER, HOME, JOINTS, URDF_LIMITS
from so101_episodes.bag import Bag, Channel
from so101_evaluation import open_loop
from so101_evaluation.open_loop_graph import isolated
from so101_node.error import UserError
from so101_node.stamp import to_nanoseconds
from so101_node.topics import ACTION_CHUNK, JOINT_STATES, JOINT_TRAJECTORY, Topic

STORE = get_typestore(Stores.ROS2_JAZZY)
START = 1_700_000_000_000_000_000
SECONDS = 3
FPS = 30
STATE_RATE = 100
TIMEOUT = 60.0

# The reference is a straight line for each joint, radians and radians per second; the measured
# shoulder_pan is another, which tells a played time from the position.
REFERENCE_SPEED = np.array([0.1, -0.05, 0.02, 0.0, 0.03, 0.04])
PAN_SPEED = 0.07


def reference(seconds: float) -> np.ndarray:
    return HOME + REFERENCE_SPEED * seconds


def measured(seconds: float) -> np.ndarray:
    pose = HOME.copy()
    pose[0] = PAN_SPEED * seconds
    return pose


@pytest.fixture(scope='module')
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of two cameras, joint states and reference."""
    joints, jpeg = 'sensor_msgs/msg/JointState', 'sensor_msgs/msg/CompressedImage'
    images = ('/wrist_camera/color/image_raw/compressed', '/overhead_camera/image_raw/compressed')
    states = {'/joint_states': measured, '/arm_controller/reference': reference}
    messages = []
    for i in range(SECONDS * FPS):
        stamp = START + i * 1_000_000_000 // FPS
        row = np.linspace(0, 200 + i % 50, 640).astype(np.uint8)
        pixels = np.broadcast_to(row[None, :, None], (480, 640, 3)).copy()
        fields = {
            'header': header(stamp),
            'format': 'jpeg',
            'data': np.frombuffer(to_jpeg(pixels), np.uint8),
        }
        messages += [(stamp + 8_000_000, topic, jpeg, fields) for topic in images]
    for i in range(SECONDS * STATE_RATE):
        stamp = START + i * 1_000_000_000 // STATE_RATE
        for topic, pose in states.items():
            fields = {
                'header': header(stamp),
                'name': list(JOINTS),
                'position': pose((stamp - START) * 1e-9),
                'velocity': np.zeros(0),
                'effort': np.zeros(0),
            }
            messages.append((stamp + 1_000_000, topic, joints, fields))
    folder = tmp_path_factory.mktemp('recordings') / 'episode'
    channels = [Channel(topic, jpeg, 10, False, False) for topic in images]
    channels += [Channel(topic, joints, 100, True, False) for topic in states]
    bag = Bag(folder, channels)
    for received, topic, kind, fields in sorted(messages, key=lambda message: message[0]):
        data = STORE.serialize_cdr(STORE.types[kind](**fields), kind)
        bag.write(topic, bytes(data), received)
    bag.close()
    return folder


def header(stamp: int) -> Any:
    time_type = STORE.types['builtin_interfaces/msg/Time']
    seconds, rest = divmod(stamp, 1_000_000_000)
    return STORE.types['std_msgs/msg/Header'](
        stamp=time_type(sec=seconds, nanosec=rest), frame_id=''
    )


@contextmanager
def started(*words: object) -> Iterator['subprocess.Popen[str]']:
    process = subprocess.Popen(
        [sys.executable, '-m', 'so101_evaluation.open_loop', *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listener(domain: int) -> Iterator[Node]:
    """A node in a domain, spun by a thread."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node(f'listener_{domain}', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)


def hear(node: Node, topic: Topic, namespace: str = '') -> list[Any]:
    heard: list[Any] = []
    name = f'{namespace}/{topic.name}'
    node.create_subscription(topic.type, name, heard.append, topic.qos)
    return heard


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f'no {what} within {TIMEOUT} s'
        time.sleep(0.02)


def test_the_figures_are_those_of_the_chunks_and_no_arm_hears_them(
    episode: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    ours = int(os.environ.get('ROS_DOMAIN_ID') or 0)
    its = int(isolated(os.environ)['ROS_DOMAIN_ID'])
    out = tmp_path / 'out'
    words = (episode, '--checkpoint', checkpoint, '--task', 'a task', '--out', out)
    with ExitStack() as stack:
        robot = stack.enter_context(listener(ours))
        inside = stack.enter_context(listener(its))
        arm, arm_in_its_domain = hear(robot, JOINT_TRAJECTORY), hear(inside, JOINT_TRAJECTORY)
        process = stack.enter_context(started(*words))
        namespace = f'/open_loop_{process.pid}'
        commands = hear(inside, JOINT_TRAJECTORY, namespace)
        chunks = hear(inside, ACTION_CHUNK, namespace)
        states = hear(inside, JOINT_STATES, namespace)
        robot_names: set[str] = set()
        wait_for(
            lambda: (
                robot_names.update(name for name, _ in robot.get_topic_names_and_types())
                or process.poll() is not None
            ),
            'end',
        )
        said = process.communicate()
    assert process.returncode == 0, said
    assert commands, 'the policy moved an arm that was not there'
    assert not arm
    assert not arm_in_its_domain
    assert not [name for name in robot_names if 'open_loop' in name]

    document = json.loads((out / 'open_loop.json').read_text())
    figures = {figure['name']: figure for figure in document['figures']}
    assert {figure['checkpoint'] for figure in figures.values()} == {'tiny'}
    assert document['machine']['cores'] >= 1
    assert document['task'] == 'a task'
    assert document['actions'] == 'arm_controller/reference'
    assert document['checkpoints']['tiny'] == {'path': str(checkpoint), 'trained': False}
    values = {name: figure['value'] for name, figure in figures.items()}
    assert values['images'] == 2 * SECONDS * FPS
    assert 0 <= values['images_lost'] < values['images']
    assert 0 < values['coverage'] <= 100

    errors = independent_errors(chunks, shift_of(states))
    assert values['chunks'] == len(errors)
    assert values['actions_compared'] == np.isfinite(errors[..., 0]).sum()
    per_joint = np.nanmean(errors, axis=(0, 1))
    assert np.isfinite(per_joint).all()
    found = [values[f'mean_absolute_error_{joint}'] for joint in JOINTS]
    np.testing.assert_allclose(found, per_joint, atol=1e-4)
    assert values['mean_absolute_error'] == pytest.approx(per_joint.mean(), abs=1e-4)
    for milliseconds in (0, 500, 1000):
        tick = round(milliseconds * FPS / 1000)
        expected = np.nanmean(errors[:, tick])
        assert values[f'mean_absolute_error_at_{milliseconds}_ms'] == pytest.approx(
            expected, abs=1e-4
        )
    picture = cv2.imread(str(out / 'open_loop.png'))
    assert picture is not None
    assert picture.std() > 1
    assert {path.name for path in out.iterdir()} == {'open_loop.json', 'open_loop.png'}
    assert 'its weights are random' in said[1]


def shift_of(states: Sequence[Any]) -> int:
    """Return played minus recorded time, from what the measured shoulder_pan says."""
    moving = [state for state in states if state.position[0] > PAN_SPEED * 0.5]
    shifts = [
        to_nanoseconds(state.header.stamp) - START - round(state.position[0] / PAN_SPEED * 1e9)
        for state in moving
    ]
    # The last one is shown for as long as the policy still infers: with ever later stamps.
    shift = min(shifts)
    assert sum(other - shift < 1000 for other in shifts) > STATE_RATE
    return shift


def independent_errors(chunks: Sequence[JointTrajectory], shift: int) -> np.ndarray:
    """Return |predicted - reference|, dataset units, (chunk, T, 6), NaN beyond the recording."""
    last = (SECONDS * STATE_RATE - 1) / STATE_RATE
    errors = []
    for chunk in chunks:
        observed = (to_nanoseconds(chunk.header.stamp) - shift - START) * 1e-9
        if not -1e-6 < observed < last + 0.001:
            continue  # of the time before the episode, or after it
        rows = []
        for i, point in enumerate(chunk.points):
            seconds = observed + i / FPS
            difference = np.abs(np.array(point.positions) - reference(seconds))
            row = np.rad2deg(difference)
            closed, opened = URDF_LIMITS['gripper']
            row[GRIPPER] = 100 * difference[GRIPPER] / (opened - closed)
            rows.append(row if seconds <= last else np.full(6, np.nan))
        errors.append(rows)
    return np.array(errors)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_nothing_running_and_nothing_written(
    episode: Path, checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / 'out'
    words = (episode, '--checkpoint', checkpoint, '--task', 'a task', '--out', out)
    with started(*words) as process:
        wait_for(lambda: len(descendants(process.pid)) >= 2, 'policy node and its inference')
        below = descendants(process.pid)
        process.send_signal(number)
        said = process.communicate(timeout=TIMEOUT)[1]
        wait_for(lambda: not any(runs(pid) for pid in below), 'end of the policy node')
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert f'open_loop: stopped by {number.name}; nothing was written' in said
    assert not list(out.iterdir())


def descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f'/proc/{pid}/task').iterdir())
        children = [int(c) for task in tasks for c in (task / 'children').read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [*children, *(below for child in children for below in descendants(child))]


def runs(pid: int) -> bool:
    try:
        status = Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(')')[2].split()[0] != 'Z'


def refused(*words: object) -> None:
    with pytest.raises(SystemExit) as end:
        open_loop.main([str(word) for word in words])
    assert end.value.code == 1


def test_a_wrong_checkpoint_is_refused_before_anything_starts(
    episode: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    wrong = tmp_path / 'wrong'
    refused(episode, '--checkpoint', checkpoint, '--checkpoint', wrong, '--out', out)
    said = capsys.readouterr().err
    assert said == (
        f'open_loop: checkpoint {wrong}: no such folder; give the path of a checkpoint\n'
    )
    assert not out.exists()


def test_a_bag_that_is_none_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(tmp_path, '--checkpoint', checkpoint)
    assert capsys.readouterr().err.count('\n') == 1


def test_an_episode_without_a_task_asks_for_one(
    episode: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(episode, '--checkpoint', checkpoint)
    assert 'does not say what the policy was told; give --task' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['/a/one'], ['one']),
        (['/a/one', '/a/two'], ['one', 'two']),
        (['/a/one', '/b/one'], ['a/one', 'b/one']),
        (['/run/010/pretrained_model', '/run/020/pretrained_model'], ['010', '020']),
    ],
)
def test_labels_are_as_long_as_it_takes(paths: list[str], names: list[str]) -> None:
    assert open_loop.labels([Path(path) for path in paths]) == names


def test_the_same_checkpoint_twice_is_refused() -> None:
    with pytest.raises(UserError, match='the same'):
        open_loop.labels([Path('/a'), Path('/a')])


@pytest.mark.parametrize('domain', ['', '0', '43', '100', '101', ' 101'])
def test_it_is_never_in_the_domain_of_the_robot(domain: str) -> None:
    given = {'ROS_DOMAIN_ID': domain, 'ROS_STATIC_PEERS': '10.0.0.1', 'HOME': '/home'}
    found = isolated(given)
    assert found['ROS_DOMAIN_ID'].strip() != domain.strip()
    assert found['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert 'ROS_STATIC_PEERS' not in found
    assert found['HOME'] == '/home'
