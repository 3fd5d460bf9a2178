"""The recorder puts what is published into one bag per episode, and loses nothing."""

import resource
import signal
import threading
import time
from array import array
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String

from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_episodes.episode import PARTIAL, Episode
from so101_episodes.recorder_node import MANY_PUBLISHERS, patient, recorded
from so101_episodes.salvage import salvage
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import (
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_NOTES,
    EPISODE_REASON,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    REFERENCE,
    TASK,
)

MODULE = 'so101_episodes.recorder_node'
RECORDED = recorded(CAMERAS)


def complaint(error: str) -> list[str]:
    """Return what a process wrote to stderr, but for its log: with no arm, there are marks."""
    return [line for line in error.splitlines() if not line.startswith('[')]


def finished(recordings: Path) -> list[Path]:
    return sorted(path for path in recordings.iterdir() if path.name != PARTIAL)


class Health:
    """The recorder's status, as it arrives once a second."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.values: dict[str, str] = {}
        self.message = ''
        self.level = 0
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
                self.message, self.level = status.message, status.level[0]


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
        if topic is DIAGNOSTICS:  # the recorder publishes there, too
            assert count.messages >= number
        else:
            assert count.messages == number, name
        counts = (None, None) if topic in MANY_PUBLISHERS else (number, 0)
        assert (count.published, count.lost) == counts, name


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
    assert (process.returncode, complaint(error)) == (0, [])
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
    assert complaint(error) == [
        f'recorder: cannot write {folder}: File too large; make room there or choose another '
        'directory. The episode is unfinished; the next recorder there salvages it.'
    ]
    assert finished(tmp_path) == []
    assert not Episode.load_draft(folder).complete


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


def test_a_label_a_reason_and_notes_are_in_the_episode_whenever_they_come(
    graph: Any, tmp_path: Path
) -> None:
    graph.start(MODULE, directory=tmp_path, checkpoint='the parameter')
    notes, reason = graph.node.publisher(EPISODE_NOTES), graph.node.publisher(EPISODE_REASON)
    for publisher in (notes, reason):
        graph.wait_for(lambda p=publisher: p.get_subscription_count() > 0, 'recorder')
    _, path = graph.call(EPISODE_START)
    notes.publish(String(data='{"kind": "rollout", "checkpoint": "last", "place": "bin 2"}'))
    reason.publish(String(data='dropped it'))
    for publisher in (notes, reason):
        assert publisher.wait_for_all_acked(Duration(seconds=20))
    graph.wait_for(lambda: graph.call(EPISODE_START)[0] is False, 'answer')  # it took them first
    assert graph.call(EPISODE_STOP) == (True, path)
    episode = Episode.load(Path(path))
    said = (episode.kind, episode.checkpoint, episode.place, episode.outcome, episode.reason)
    assert said == ('rollout', 'last', 'bin 2', 'unlabelled', 'dropped it')

    assert graph.call(EPISODE_SUCCEED) == (True, path)
    assert Episode.load(Path(path)) == replace(episode, outcome='success')
    assert graph.call(EPISODE_FAIL) == (True, path)
    reason.publish(String(data='beside the bowl'))
    graph.wait_for(lambda: Episode.load(Path(path)).reason == 'beside the bowl', 'reason')
    assert Episode.load(Path(path)).outcome == 'failure'

    _, other = graph.call(EPISODE_START)
    graph.call(EPISODE_DISCARD)
    assert graph.call(EPISODE_SUCCEED) == (True, path)  # the last one there is
    assert not Path(other).exists()


def test_without_the_overhead_camera_it_is_neither_recorded_nor_missed(
    graph: Any, tmp_path: Path
) -> None:
    graph.start(MODULE, directory=tmp_path, cameras=['wrist'])
    health = Health(graph)
    _, path = graph.call(EPISODE_START)
    graph.wait_for(lambda: health.values.get('marks') == '2', 'two marks')
    graph.call(EPISODE_STOP)
    episode = Episode.load(Path(path))
    assert {(mark.source, mark.kind) for mark in episode.marks} == {
        ('/joint_states', 'gap'),
        ('wrist', 'silent'),
    }
    assert not [topic for topic in episode.topics if 'overhead' in topic]
    assert graph.node.count_subscribers(CAMERAS['overhead'].compressed.name) == 0


class Robot:
    """Publishes a moving arm and a picture of each camera, 30 times a second, until stopped."""

    def __init__(self, node: Node) -> None:
        self.frozen: set[str] = set()
        self.silent: set[str] = set()
        self.black: set[str] = set()
        self._states = node.publisher(JOINT_STATES)
        self._images = {name: node.publisher(of.compressed) for name, of in CAMERAS.items()}
        self._tick = 0
        self._seen = dict.fromkeys(CAMERAS, 0)  # the tick of each camera's picture
        self._pictures = [self._jpeg(level) for level in range(90, 100)]
        self._black = self._jpeg(0)
        self._timer = node.create_timer(1 / 30, self._publish)

    def subscribed(self) -> bool:
        publishers = [self._states, *self._images.values()]
        return all(publisher.get_subscription_count() for publisher in publishers)

    def _jpeg(self, level: int) -> array:
        data = array('B')
        data.frombytes(to_jpeg(np.full((480, 640, 3), level, np.uint8)))
        return data

    def _publish(self) -> None:
        stamp = from_nanoseconds(time.time_ns())
        self._tick += 1
        state = JointState(name=list(JOINTS), position=[self._tick / 30] * 6)
        state.header.stamp = stamp
        for _ in range(2):
            self._states.publish(state)
        for name, publisher in self._images.items():
            if name in self.silent:
                continue
            if name not in self.frozen:
                self._seen[name] = self._tick
            image = CompressedImage(format='rgb8; jpeg compressed bgr8')
            image.header.stamp = stamp
            image.data = self._pictures[self._seen[name] % 10]
            if name in self.black:
                image.data = self._black
            publisher.publish(image)


def test_a_camera_that_fails_is_on_diagnostics_within_a_second_and_marked(
    graph: Any, tmp_path: Path
) -> None:
    graph.start(MODULE, directory=tmp_path)
    health = Health(graph)
    robot = Robot(graph.node)
    graph.wait_for(robot.subscribed, 'recorder')
    _, path = graph.call(EPISODE_START)
    troubles = (
        ('wrist', robot.frozen, 'frozen', 'the wrist picture stands still while the arm moves'),
        ('overhead', robot.silent, 'silent', 'no image of the overhead camera for 0.5 s'),
        ('wrist', robot.black, 'black', 'the wrist picture is black: brightness 0 of 255'),
    )
    began = []
    for name, trouble, _, text in troubles:
        trouble.add(name)
        began.append(time.monotonic())
        graph.wait_for(lambda text=text: text in health.message, text)
        began[-1] = time.monotonic() - began[-1]
        assert health.level == 1
        trouble.remove(name)
        graph.wait_for(lambda: health.level == 0, 'end of it')
    assert max(began) < 1.0
    graph.call(EPISODE_STOP)
    episode = Episode.load(Path(path))
    for name, _, kind, text in troubles:
        (mark,) = [m for m in episode.marks if (m.source, m.kind) == (name, kind)]
        assert mark.text == text
        assert episode.started <= mark.start < mark.end <= episode.ended
    assert episode.cameras['wrist'] == {
        'width': 640,
        'height': 480,
        'format': 'rgb8; jpeg compressed bgr8',
    }
    assert episode.figures['travel_degrees'] > 10


def test_the_next_recorder_salvages_what_a_killed_one_left_and_nobody_what_is_recorded(
    graph: Any, tmp_path: Path
) -> None:
    publisher = graph.node.publisher(JOINT_STATES)
    first = graph.start(MODULE, directory=tmp_path)
    graph.wait_for(lambda: publisher.get_subscription_count() > 0, 'recorder')
    _, orphan = graph.call(EPISODE_START)
    health = Health(graph)
    publisher.publish(JointState(name=list(JOINTS), position=[0.0] * 6))
    health.wait_for_messages(1)
    graph.wait_for(
        lambda: (
            (tmp_path / PARTIAL / Path(orphan).name)
            .joinpath(f'{Path(orphan).name}.mcap')
            .stat()
            .st_size
            > 0
        ),
        'message on the disk',
    )
    assert salvage(tmp_path, print, print) == []  # it is being recorded
    first.kill()
    first.wait()

    second = graph.start(MODULE, directory=tmp_path)
    graph.wait_for(lambda: Path(orphan).exists(), 'salvaged episode')
    episode = Episode.load(Path(orphan))
    assert episode.salvaged
    assert episode.topics['/joint_states'].messages == 1
    assert len(episode.topics) == len(RECORDED)
    second.send_signal(signal.SIGINT)
    assert second.wait(20) == 0
