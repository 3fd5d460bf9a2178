"""The recorder puts what is published into one bag per episode, and loses nothing."""

import resource
import signal
import threading
import time
from array import array
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String

from so101_episodes.episode import FILE, PARTIAL, Episode
from so101_episodes.recorder_node import RECORDED, patient
from so101_node.node import Node
from so101_node.topics import (
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    REFERENCE,
    TASK,
)

MODULE = 'so101_episodes.recorder_node'


def finished(recordings: Path) -> list[Path]:
    return sorted(path for path in recordings.iterdir() if path.name != PARTIAL)


class Health:
    """The recorder's status, as it arrives once a second."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.values: dict[str, str] = {}
        self._recorded = 0  # of these statuses, which are in the bag, too
        graph.node.subscribe(DIAGNOSTICS, self._receive)

    def wait_for_messages(self, number: int) -> None:
        """Wait until the bag holds that many besides these statuses."""
        self._graph.wait_for(
            lambda: int(self.values.get('messages', 0)) - self._recorded >= number,
            f'bag of {number} messages',
        )

    def _receive(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'recorder/episode':
                self._recorded += self.values.get('state') == 'recording'
                self.values = {pair.key: pair.value for pair in status.values}


def test_every_topic_is_recorded_as_often_as_it_was_published(graph: Any, tmp_path: Path) -> None:
    graph.start(MODULE, directory=tmp_path, checkpoint='checkpoints/tiny')
    publishers = {topic.name: graph.node.publisher(topic) for topic in RECORDED}
    publishers[TASK.name].publish(String(data='Pick up the cube'))  # before the episode
    graph.wait_for(
        lambda: all(p.get_subscription_count() for p in publishers.values()), 'recorder'
    )
    publishers[JOINT_STATES.name].publish(JointState())  # belongs to no episode
    assert publishers[JOINT_STATES.name].wait_for_all_acked(Duration(seconds=20))  # it has arrived
    health = Health(graph)
    success, path = graph.call(EPISODE_START)
    assert success
    # Each burst fits the depth of its topic's QoS. The task is latched, so it is there already.
    numbers = {topic.name: 0 if topic is TASK else 1 + i % 9 for i, topic in enumerate(RECORDED)}
    for topic in RECORDED:
        for _ in range(numbers[topic.name]):
            publishers[topic.name].publish(topic.type())
    numbers[TASK.name] = 1
    health.wait_for_messages(sum(numbers.values()))
    assert graph.call(EPISODE_SUCCEED) == (True, path)

    episode = Episode.load(Path(path))
    assert (episode.outcome, episode.task) == ('success', 'Pick up the cube')
    assert episode.checkpoint == 'checkpoints/tiny'
    with Reader(path) as reader:
        store = get_typestore(Stores.ROS2_JAZZY)
        for connection, stamp, data in reader.messages():
            store.deserialize_cdr(data, connection.msgtype)
            assert episode.started <= stamp <= episode.ended
        counted = {topic: info.msgcount for topic, info in reader.topics.items()}
    for topic in RECORDED:
        name, number = '/' + topic.name.lstrip('/'), numbers[topic.name]
        count = episode.topics[name]
        assert count.messages == counted[name]
        if topic is DIAGNOSTICS:  # the recorder publishes there too
            assert count.messages >= number
            assert (count.published, count.lost) == (None, None)
        else:
            assert (count.messages, count.published, count.lost) == (number, number, 0), name


def test_nothing_is_lost_at_the_rates_of_the_robot(graph: Any, tmp_path: Path) -> None:
    graph.start(MODULE, directory=tmp_path)
    jpeg = CompressedImage(format='rgb8; jpeg compressed bgr8')
    jpeg.data = array('B', bytes(60_000))
    state = JointState(name=list('abcdef'), position=[0.0] * 6, velocity=[0.0] * 6)
    streams = [(camera.compressed, jpeg, 30) for camera in CAMERAS.values()]
    streams += [(JOINT_STATES, state, 200), (REFERENCE, state, 200)]
    publishers = {topic.name: graph.node.publisher(topic) for topic, _, _ in streams}
    graph.wait_for(
        lambda: all(p.get_subscription_count() for p in publishers.values()), 'recorder'
    )
    health = Health(graph)
    assert graph.call(EPISODE_START)[0]
    due = sorted(
        (
            (i / rate, topic.name, message)
            for topic, message, rate in streams
            for i in range(5 * rate)
        ),
        key=itemgetter(0),
    )
    began = time.monotonic()
    for moment, name, message in due:
        time.sleep(max(0.0, began + moment - time.monotonic()))  # the rate is the test's subject
        publishers[name].publish(message)
    health.wait_for_messages(len(due))
    episode = Episode.load(Path(graph.call(EPISODE_STOP)[1]))
    for topic, _, rate in streams:
        count = episode.topics[f'/{topic.name}']
        assert (count.messages, count.published, count.lost) == (5 * rate, 5 * rate, 0), topic.name


def test_services_refuse_what_makes_no_sense_and_say_why(graph: Any, tmp_path: Path) -> None:
    graph.start(MODULE, directory=tmp_path)
    for service in (EPISODE_STOP, EPISODE_SUCCEED, EPISODE_FAIL, EPISODE_DISCARD):
        success, text = graph.call(service)
        assert not success
        assert 'no episode is being recorded' in text
    _, path = graph.call(EPISODE_START)
    success, text = graph.call(EPISODE_START)
    assert not success
    assert f'{path} is being recorded' in text
    assert graph.call(EPISODE_DISCARD) == (True, f'{path} discarded')
    assert finished(tmp_path) == []
    _, path = graph.call(EPISODE_START)
    assert graph.call(EPISODE_FAIL) == (True, path)
    assert Episode.load(Path(path)).outcome == 'failure'


def test_too_little_free_space_ends_the_node_before_anything_moves(
    graph: Any, tmp_path: Path
) -> None:
    process = graph.start(MODULE, directory=tmp_path, min_free_mb=10**9)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error.startswith(f'recorder: {tmp_path} has ')
    assert 'MB free, an episode needs 1000000000: make room' in error


def test_a_directory_that_cannot_be_made_ends_the_node_at_once(graph: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    process = graph.start(MODULE, directory=tmp_path / 'file' / 'recordings')
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error.splitlines() == [
        f'recorder: parameter directory: cannot use {tmp_path}/file/recordings: Not a directory'
    ]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_episode_is_finished_and_says_so(
    graph: Any, tmp_path: Path, number: int
) -> None:
    process = graph.start(MODULE, directory=tmp_path)
    _, path = graph.call(EPISODE_START)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, '')
    episode = Episode.load(Path(path))
    assert (episode.outcome, episode.reason) == ('unlabelled', 'interrupted')
    with Reader(path):
        pass


def test_a_kill_leaves_nothing_under_the_final_name(graph: Any, tmp_path: Path) -> None:
    process = graph.start(MODULE, directory=tmp_path)
    _, first = graph.call(EPISODE_START)
    graph.call(EPISODE_STOP)
    _, second = graph.call(EPISODE_START)
    process.kill()
    process.wait()
    assert finished(tmp_path) == [Path(first)]
    assert (tmp_path / PARTIAL / Path(second).name).exists()


def test_a_disk_that_refuses_ends_the_node_with_one_line(graph: Any, tmp_path: Path) -> None:
    process = graph.start(MODULE, directory=tmp_path)
    topic = CAMERAS['wrist'].compressed
    publisher = graph.node.publisher(topic)
    graph.wait_for(lambda: publisher.get_subscription_count() > 0, 'recorder')
    _, path = graph.call(EPISODE_START)
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2_500_000, hard))
    message = CompressedImage()
    message.data = array('B', bytes(60_000))
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.01):
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        _, error = process.communicate(timeout=20)
    finally:
        stop.set()
        thread.join()
    assert process.returncode == 1
    folder = tmp_path / PARTIAL / Path(path).name
    assert error.splitlines() == [
        f'recorder: cannot write {folder}: File too large; make room there or choose another '
        'directory. The episode is unfinished and stays in that folder.'
    ]
    assert finished(tmp_path) == []
    assert not (folder / FILE).exists()


def test_health_is_on_diagnostics(graph: Any, tmp_path: Path) -> None:
    graph.start(MODULE, directory=tmp_path)
    health = Health(graph)
    _, path = graph.call(EPISODE_START)
    graph.wait_for(lambda: health.values.get('state') == 'recording', 'recording')
    assert health.values['path'] == path
    assert health.values['lost'] == '0'
    graph.call(EPISODE_STOP)
    graph.wait_for(lambda: health.values['state'] == 'idle', 'end of the recording')


def test_a_recorder_that_is_held_up_for_a_while_loses_nothing() -> None:
    rclpy.init()
    try:
        node = Node('held_up')
        received: list[bytes] = []
        publisher = node.publisher(JOINT_STATES)
        deep = JOINT_STATES._replace(qos=patient(JOINT_STATES.qos))
        node.subscribe(deep, received.append, raw=True)
        count = 5 * JOINT_STATES.qos.depth
        for _ in range(count):
            publisher.publish(JointState())
            time.sleep(0.001)
        deadline = time.monotonic() + 10
        while len(received) < count and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.1)
        assert len(received) == count
    finally:
        rclpy.shutdown()
