"""kill -9 of the recorder at random moments: what is finished stays, what is not is salvaged."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CompressedImage, JointState

from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_episodes.bag import message_definitions
from so101_episodes.episode import PARTIAL, Episode
from so101_episodes.salvage import salvage
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS, EPISODE_START, EPISODE_SUCCEED, JOINT_STATES, Topic

RECORDERS, ROUNDS = 5, 10  # fifty kills, five at a time
LONGEST_LIFE = 1.5  # s from the first episode's start to the kill
LONGEST_EPISODE = 1.0  # s

# Seconds before the kill that may be lost. A recorder that is starved by other programs for longer
# than that has not seen what it loses: one life of the fifty may be such a one.
LOSS = 1.0
SEED = 20

# Recorders as forks of a process that has imported all that they need: a start takes 0.3 s then.
NURSERY = """
import os, signal, sys
from so101_episodes.bag import message_definitions
from so101_episodes.recorder_node import main
message_definitions()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        sys.argv = ['recorder', *line.split()]
        main()
        os._exit(0)
    print(pid, flush=True)
"""


@pytest.fixture
def nursery() -> Iterator['subprocess.Popen[str]']:
    process = subprocess.Popen(
        [sys.executable, '-c', NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


@dataclass
class Started:
    """An episode that was started; `first` is the number of a joint state that came after it."""

    path: Path
    first: int
    ended_at: float = math.inf  # monotonic, when its end was asked for
    finished: bool = False  # the recorder said so


class Feed:
    """An arm and two cameras in a namespace; joint states are numbered and their times kept."""

    def __init__(self, node: Node, namespace: str) -> None:
        self.times: list[float] = []  # monotonic, of each joint state that was published
        self._states = node.publisher(_in(namespace, JOINT_STATES))
        images = [camera.compressed for camera in CAMERAS.values()]
        self._images = [node.publisher(_in(namespace, topic)) for topic in images]
        self._picture = CompressedImage(format='rgb8; jpeg compressed bgr8')
        pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
        self._picture.data = array('B', to_jpeg(pixels))

    def publish(self) -> None:
        stamp = from_nanoseconds(time.time_ns())
        state = JointState(name=list(JOINTS), position=[float(len(self.times))] * 6)
        state.header.stamp = stamp
        self.times.append(time.monotonic())
        self._states.publish(state)
        if len(self.times) % 3 == 0:
            self._picture.header.stamp = stamp
            for publisher in self._images:
                publisher.publish(self._picture)


@dataclass
class Life:
    """A recorder from its start to its kill, at a random moment, making episodes meanwhile."""

    graph: Any
    feed: Feed
    namespace: str
    pid: int
    random: random.Random
    started: list[Started] = field(default_factory=list)
    killed_at: float = 0.0
    dead: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        if self._call(EPISODE_START) is None:
            return
        killer = threading.Timer(self.random.uniform(0, LONGEST_LIFE), self._kill)
        killer.start()
        while not self.dead.wait(self.random.uniform(0, LONGEST_EPISODE)):
            episode = self.started[-1]
            episode.ended_at = time.monotonic()
            if self._call(EPISODE_SUCCEED) is not None:
                episode.finished = True
                self._call(EPISODE_START)
        killer.join()

    def _call(self, service: Any) -> str | None:
        """Return the answer, None when the recorder is killed instead."""
        client = self.graph.node.client(service._replace(name=f'{self.namespace}/{service.name}'))
        while not client.service_is_ready():
            if self.dead.wait(0.01):
                return None
        answered = threading.Event()
        future = client.call_async(service.type.Request())
        future.add_done_callback(lambda _: answered.set())
        while not answered.wait(0.005):
            if self.dead.is_set():
                return None
        answer = future.result()
        assert answer.success, answer.message
        if service is EPISODE_START:
            self.started.append(Started(Path(answer.message), len(self.feed.times)))
        return str(answer.message)

    def _kill(self) -> None:
        self.killed_at = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        while Path(f'/proc/{self.pid}').exists():
            time.sleep(0.002)
        self.dead.set()


def _in(namespace: str, topic: Topic) -> Topic:
    return topic._replace(name=f'{namespace}/{topic.name}')


@pytest.mark.alone
@pytest.mark.timeout(300)  # a minute on two cores that do nothing else
def test_fifty_kills_lose_no_finished_episode_and_a_second_at_most_of_the_current_one(
    graph: Any, nursery: Any, tmp_path: Path
) -> None:
    feeds: list[Feed] = []
    graph.node.create_timer(0.01, lambda: [feed.publish() for feed in tuple(feeds)])
    seeds = random.Random(SEED)
    folders = [tmp_path / f'recordings{n}' for n in range(RECORDERS)]
    lives: list[Life] = []
    for number in range(ROUNDS):
        begun: list[Life] = []
        for folder in folders:
            # Of its own, since the graph knows a killed node's services for some seconds.
            namespace = f'{folder.name}_{number}'
            nursery.stdin.write(f'--ros-args -r __ns:=/{namespace} -p directory:={folder}\n')
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            feed = Feed(graph.node, namespace)
            begun.append(Life(graph, feed, namespace, pid, random.Random(seeds.random())))
        feeds[:] = [life.feed for life in begun]
        threads = [threading.Thread(target=life.run, daemon=True) for life in begun]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        lives += begun

    assert len(lives) == 50
    assert all(life.dead.is_set() and life.started for life in lives)
    salvaged = finished = 0
    losses: list[float] = []  # s before its end of what an episode lacks
    for folder in folders:  # the last kills'; the others were salvaged by the next recorder
        warnings: list[str] = []
        salvage(folder, lambda _: None, warnings.append)
        assert warnings == []
        assert list((folder / PARTIAL).iterdir()) == []
    for life in lives:
        for episode in life.started:
            assert episode.path.exists() or not episode.finished
            kept = numbers(episode.path) if episode.path.exists() else set()
            end = min(episode.ended_at, life.killed_at)
            times = life.feed.times
            lost = [n for n in range(episode.first, len(times)) if n not in kept]
            losses.append(max((end - times[n] for n in lost), default=0.0))
            if not kept:
                continue
            known = Episode.load(episode.path)
            assert not (episode.finished and known.salvaged)
            salvaged += known.salvaged
            finished += not known.salvaged
    assert sorted(losses)[-2] < LOSS
    assert salvaged >= 10  # or the test has tested little
    assert finished >= 10


def numbers(folder: Path) -> set[int]:
    """Return the numbers of an episode's joint states; the bag holds what episode.json counts."""
    store: Any = message_definitions()
    found: list[int] = []
    counts: dict[str, int] = {}
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            counts[connection.topic] = counts.get(connection.topic, 0) + 1
            if connection.msgtype == JOINT_STATES.type_name:
                found.append(int(message.position[0]))
        assert reader.message_count == sum(counts.values())
    episode = Episode.load(folder)
    assert {topic: c.messages for topic, c in episode.topics.items() if c.messages} == counts
    assert found == list(range(found[0], found[-1] + 1)) if found else True
    return set(found)
