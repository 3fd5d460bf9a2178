"""The recorder and the video under a full load: losses, processor, memory, sound against picture.

`make bench NAME=episodes`; a quarter of an hour. `python bench/episodes.py --minutes 60` records
for an hour, for the slope of the memory. A feed stands for the robot: two 640x480 JPEG streams at
30 Hz, joint states and references at 200, a chunk and a trajectory three times a second.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import rclpy
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_bringup import figures, runner
from so101_bringup.figures import Figure, at_most, exactly, untargeted
from so101_bringup.wiring import NodeSpec
from so101_cameras.image import to_jpeg
from so101_description.joints import HOME, JOINTS
from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode
from so101_node.node import Node, run
from so101_node.stamp import from_nanoseconds
from so101_node.topics import (
    ACTION_CHUNK,
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_START,
    EPISODE_STOP,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    REFERENCE,
    Service,
    Topic,
)
from so101_view.clap import Clapper, Seen, seen
from so101_view.sound import Samples
from so101_view.video_file import started as film_started

RATE = 200  # Hz, of states and references
CAMERA_EVERY = 20 / 3  # ticks of RATE: 30 Hz
CHUNK_EVERY = 67  # three a second
CHUNK = 50  # actions
FRAMES = 60  # different pictures of each camera, so that none stands still
BASELINE_MINUTES = 1.0
VIDEO_MINUTES = 2.0
CLAP_SECONDS = 30.0
FPS = 30  # of the video
TIMEOUT = 30.0


class Feed:
    """Publishes like a robot whose policy runs; what is published is made before."""

    def __init__(self, node: Node) -> None:
        self.published: Counter[str] = Counter()
        self._node = node
        self._publishers = {
            topic.name: node.publisher(topic)
            for topic in (
                JOINT_STATES,
                REFERENCE,
                ACTION_CHUNK,
                JOINT_TRAJECTORY,
                DIAGNOSTICS,
                *(camera.compressed for camera in CAMERAS.values()),
                *(camera.info for camera in CAMERAS.values()),
            )
        }
        self._pictures = {name: _pictures(seed) for seed, name in enumerate(CAMERAS)}
        self.jpeg_bytes = float(np.mean([len(jpeg) for jpeg in self._pictures['wrist']]))

    def wait_for_subscribers(self, topics: tuple[Topic, ...]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while any(not self._publishers[topic.name].get_subscription_count() for topic in topics):
            if time.monotonic() > deadline:
                raise TimeoutError('nobody subscribed')
            time.sleep(0.05)
        time.sleep(1.0)  # the other side of discovery

    def run(self, seconds: float) -> None:
        ticks = round(seconds * RATE)
        pictures = 0
        start = time.time()
        for tick in range(ticks):
            time.sleep(max(0.0, start + tick / RATE - time.time()))
            self._states(tick)
            if tick >= pictures * CAMERA_EVERY:
                self._images(pictures)
                pictures += 1
            if tick % CHUNK_EVERY == 0:
                self._chunk()
            if tick % RATE == 0:
                self._health(tick // RATE)

    def _publish(self, topic: Topic, message: Any) -> None:
        self._publishers[topic.name].publish(message)
        self.published[topic.name] += 1

    def _states(self, tick: int) -> None:
        pose = HOME + 0.3 * np.sin(2 * np.pi * 0.2 * tick / RATE)
        stamp = from_nanoseconds(time.time_ns())
        for topic in (JOINT_STATES, REFERENCE):
            message = JointState(name=list(JOINTS))
            message.header.stamp = stamp
            message.position = array('d', pose.tobytes())
            message.velocity = array('d', np.zeros(6).tobytes())
            self._publish(topic, message)

    def _images(self, number: int) -> None:
        stamp = from_nanoseconds(time.time_ns())
        for name, camera in CAMERAS.items():
            image = CompressedImage(format='rgb8; jpeg compressed bgr8')
            image.header.stamp = stamp
            image.data = self._pictures[name][number % FRAMES]
            self._publish(camera.compressed, image)
            info = CameraInfo(width=640, height=480)
            info.header.stamp = stamp
            self._publish(camera.info, info)

    def _chunk(self) -> None:
        message = JointTrajectory(joint_names=list(JOINTS))
        message.header.stamp = from_nanoseconds(time.time_ns())
        for action in range(CHUNK):
            nanoseconds = round((action + 1) / 30 * 1e9)
            time_from_start = Duration(
                sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000
            )
            message.points.append(
                JointTrajectoryPoint(positions=HOME.tolist(), time_from_start=time_from_start)
            )
        self._publish(ACTION_CHUNK, message)
        self._publish(JOINT_TRAJECTORY, message)

    def _health(self, sequence: int) -> None:
        status = DiagnosticStatus(name='driver/arm', message='active', hardware_id='so101')
        status.values = [
            KeyValue(key='state', value='active'),
            KeyValue(key='sequence', value=str(sequence)),
        ]
        message = DiagnosticArray(status=[status])
        message.header.stamp = from_nanoseconds(time.time_ns())
        self._publish(DIAGNOSTICS, message)


def _pictures(seed: int) -> list[array]:
    """Return JPEG images of a picture that moves, with a camera's noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:480, :640]
    base = np.stack((rows // 2, columns // 3, (rows + columns) // 5), axis=2).astype(np.int16)
    found = []
    for number in range(FRAMES):
        pixels = np.roll(base, 8 * number, axis=1) + random.normal(0, 2, base.shape)
        pixels[100:160, 5 * number : 5 * number + 60] = (200, 30, 30)
        found.append(array('B', to_jpeg(np.clip(pixels, 0, 255).astype(np.uint8))))
    return found


@dataclass
class Watched:
    """A process: its share of a core and its memory, sampled while it ran."""

    processor: float = np.nan  # of one core
    memory: tuple[tuple[float, float], ...] = ()  # seconds, MB


@contextmanager
def watching(processes: list[psutil.Process]) -> Iterator[Watched]:
    """Measure processes, with their children, together between `with` and its end."""
    family = [one for process in processes for one in (process, *process.children(True))]
    watched, samples = Watched(), []
    ended = threading.Event()

    def used() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in family)

    def sample() -> None:
        while not ended.wait(2.0):
            memory = sum(one.memory_info().rss for one in family) / 1e6
            samples.append((time.monotonic() - start, memory))

    start, before = time.monotonic(), used()
    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()
    watched.processor = (used() - before) / (time.monotonic() - start)
    watched.memory = tuple(samples)


def slope(memory: tuple[tuple[float, float], ...]) -> float:
    """Return MB an hour, of the second half: the first fills caches and queues."""
    seconds, size = np.array(memory[len(memory) // 2 :]).T
    return float(np.polyfit(seconds, size, 1)[0] * 3600)


@contextmanager
def started(*specs: NodeSpec) -> Iterator[list[psutil.Process]]:
    """Run nodes; they have to end well."""
    processes = [subprocess.Popen(runner.command(spec)) for spec in specs]
    try:
        yield [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait(timeout=TIMEOUT) for process in processes]
    if any(codes):
        raise RuntimeError(f'{[spec.name for spec in specs]} ended with {codes}')


def recorder(directory: Path) -> NodeSpec:
    return NodeSpec('so101_episodes', 'recorder', 'recorder', {'directory': str(directory)})


def call(node: Node, service: Service, timeout: float = TIMEOUT) -> str:
    client = node.client(service)
    if not client.wait_for_service(TIMEOUT):
        raise TimeoutError(service.name)
    future = client.call_async(service.type.Request())
    deadline = time.monotonic() + timeout
    while not future.done():
        if time.monotonic() > deadline:
            raise TimeoutError(service.name)
        time.sleep(0.01)
    if not future.result().success:
        raise RuntimeError(future.result().message)
    return future.result().message


def record(node: Node, feed: Feed, directory: Path, minutes: float) -> tuple[Path, Watched, int]:
    """Record the feed; return the episode, what the recorder took, and messages missing in it."""
    feed.published.clear()
    with started(recorder(directory)) as processes:
        feed.wait_for_subscribers((JOINT_STATES, CAMERAS['wrist'].compressed))
        call(node, EPISODE_START)
        with watching(processes) as watched:
            feed.run(minutes * 60)
        # The last messages are on their way; a silence of 0.1 s would be marked.
        time.sleep(0.02)
        # The figures of episode.json are half a second's work for each minute.
        folder = Path(call(node, EPISODE_STOP, TIMEOUT + 5 * minutes))
    return folder, watched, missing(folder, feed.published)


def missing(folder: Path, published: Counter[str]) -> int:
    """Return how many messages of the feed are not in the bag; nobody else published these."""
    found: Counter[str] = Counter()
    with Reader(folder) as reader:
        for connection in reader.connections:
            found[connection.topic.lstrip('/')] += connection.msgcount
    return sum(
        max(0, count - found[name.lstrip('/')])
        for name, count in published.items()
        if name != DIAGNOSTICS.name  # which the recorder publishes on, too
    )


class Plain(Node):
    """A recorder that writes each message in its callback, to the folder of the last argument."""

    def __init__(self) -> None:
        super().__init__('plain')
        self._writer = Writer(Path(sys.argv[-1]), version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        topics = [JOINT_STATES, REFERENCE, ACTION_CHUNK, JOINT_TRAJECTORY]
        for camera in CAMERAS.values():
            topics += [camera.compressed, camera.info]
        for topic in topics:
            connection = self._writer.add_connection(
                f'/{topic.name}', topic.type_name, typestore=message_definitions()
            )
            self.subscribe(topic, partial(self._write, connection), raw=True)

    def close(self) -> None:
        self._writer.close()

    def _write(self, connection: Connection, data: bytes) -> None:
        self._writer.write(connection, time.time_ns(), data)


def baseline(feed: Feed, directory: Path, minutes: float) -> tuple[float, int]:
    """Return the share of a core of a recorder of the plain kind, and what it missed."""
    feed.published.clear()
    folder = directory / 'plain'
    process = subprocess.Popen([sys.executable, __file__, 'plain', str(folder)])
    feed.wait_for_subscribers((JOINT_STATES, CAMERAS['wrist'].compressed))
    with watching([psutil.Process(process.pid)]) as watched:
        feed.run(minutes * 60)
    time.sleep(0.5)
    process.terminate()
    process.wait(timeout=TIMEOUT)
    return watched.processor, missing(folder, feed.published)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10.0, help='of the long recording')
    minutes = parser.parse_args().minutes
    directory = Path(tempfile.mkdtemp(prefix='episodes_'))
    rclpy.init(args=[])
    node = Node('bench')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=_spin, args=(executor,), daemon=True).start()
    try:
        found = measure(node, directory, minutes)
    finally:
        shutil.rmtree(directory)
        rclpy.try_shutdown()
    figures.show('Episodes under a full load', found)
    figures.write(Path('build') / 'bench' / 'episodes.json', 'episodes', found)
    sys.exit(bool(figures.failed(found)))


def measure(node: Node, directory: Path, minutes: float) -> list[Figure]:
    feed = Feed(node)
    _say(f'A plain recorder, {BASELINE_MINUTES:g} min ...')
    plain, plain_missing = baseline(feed, directory, BASELINE_MINUTES)
    _say(f'The recorder, {minutes:g} min ...')
    folder, watched, lost = record(node, feed, directory, minutes)
    _say(f'The recorder and the video, {VIDEO_MINUTES:g} min ...')
    filmed, frames = film(node, feed, directory, VIDEO_MINUTES)
    _say(f'Flashes and beeps, {CLAP_SECONDS:g} s ...')
    claps = clap(node, directory)
    offsets = [abs(each.offset) * 1e3 for each in claps]
    episode = Episode.load(folder)
    counted = sum(topic.lost or 0 for topic in episode.topics.values())
    beside: dict[str, Any] = {'baseline_name': 'a callback a message'}
    return [
        untargeted('minutes_recorded', minutes, 'min'),
        untargeted('messages', float(sum(of.messages for of in episode.topics.values())), ''),
        untargeted('jpeg_size', feed.jpeg_bytes / 1e3, 'kB'),
        exactly('messages_missing_in_the_bag', lost, 0, '', required=True,
                baseline=plain_missing, **beside),
        exactly('messages_lost_by_its_own_count', counted, 0, '', required=True),
        exactly('marks', len(episode.marks), 0, ''),
        at_most('recorder_processor', 100 * watched.processor, 25, '% of a core',
                baseline=100 * plain, **beside),
        untargeted('recorder_memory', watched.memory[-1][1], 'MB'),
        untargeted('recorder_memory_slope', slope(watched.memory), 'MB/h'),
        at_most('recorder_and_video_processor', 100 * filmed.processor, 60, '% of a core'),
        at_most('video_length_error', abs(frames), 1, 'frames'),
        untargeted('claps', len(claps), ''),
        at_most('sound_offset_largest', max(offsets, default=np.nan), 50, 'ms'),
        untargeted('sound_offset_p50', float(np.median(offsets)) if offsets else None, 'ms'),
    ]  # fmt: skip


@contextmanager
def microphone(path: Path) -> Iterator[Callable[[Samples], None]]:
    """Be a sound server at a FIFO: what nobody takes is dropped."""
    os.mkfifo(path)
    writing = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def hear(samples: Samples) -> None:
        with suppress(BlockingIOError):
            os.write(writing, samples.tobytes())

    yield hear
    os.close(writing)


def film(node: Node, feed: Feed, directory: Path, minutes: float) -> tuple[Watched, float]:
    """Record and film the feed, beside a quiet microphone.

    Return what both nodes took, and the film's length less the wall's time, in frames.
    """
    feed.published.clear()
    path = directory / 'quiet'
    with (
        microphone(path) as hear,
        Clapper(lambda *_: None, lambda samples: hear(samples * 0)),
        started(recorder(directory), camera_film(directory, path)) as processes,
    ):
        feed.wait_for_subscribers((JOINT_STATES, CAMERAS['wrist'].compressed))
        call(node, EPISODE_START)
        with watching(processes) as watched:
            feed.run(minutes * 60)
        call(node, EPISODE_STOP)
        ended = time.time_ns()
    (path,) = directory.glob('bench_*.mp4')
    with av.open(path) as file:
        frames = file.streams.video[0].frames
    path.rename(directory / 'filmed.mp4')
    return watched, frames - (ended - film_started(directory / 'filmed.mp4')) * 1e-9 * FPS


def clap(node: Node, directory: Path) -> list[Seen]:
    """Film flashes and beeps that are made at once; return where the film has them."""
    overhead = node.publisher(CAMERAS['overhead'].compressed)
    images = {
        bright: CompressedImage(
            format='rgb8; jpeg compressed bgr8',
            data=array('B', to_jpeg(np.full((480, 640, 3), 255 if bright else 40, np.uint8))),
        )
        for bright in (True, False)
    }

    def see(bright: bool, captured: int) -> None:
        images[bright].header.stamp = from_nanoseconds(captured)
        overhead.publish(images[bright])

    path = directory / 'clapping'
    with microphone(path) as hear, started(camera_film(directory, path)):
        while not overhead.get_subscription_count():
            time.sleep(0.05)
        with Clapper(see, hear) as clapper:
            time.sleep(CLAP_SECONDS)
    (written,) = directory.glob('bench_*.mp4')
    return seen(written, clapper.claps)


def camera_film(directory: Path, microphone: Path) -> NodeSpec:
    parameters = {
        'directory': str(directory),
        'prefix': 'bench',
        'microphone': f'file:{microphone}',
    }
    return NodeSpec('so101_view', 'video', 'video', parameters)


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == '__main__':
    if sys.argv[1:2] == ['plain']:
        run(Plain)
    else:
        main()
