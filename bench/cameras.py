"""Two cameras at 30 Hz through the camera node, beside the naive way: decode and encode again.

`make bench NAME=cameras`; about a minute. A stand-in for V4L2 in each node's process delivers
motion JPEG of a textured, moving scene, with stamps; a subscriber takes the compressed images and
camera_info of both, as the recorder does. The baseline reads the same device as LeRobot's
OpenCVCamera does, every frame decoded to RGB, and encodes it again for its topic. The stand-in's
own work is in the figures of both.
"""

import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import cv2
import numpy as np
import psutil
import rclpy
from sensor_msgs.msg import CameraInfo

from so101_bringup import figures
from so101_bringup.figures import at_most, exactly, untargeted
from so101_cameras.camera_node import CameraNode
from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.image import from_jpeg, to_jpeg
from so101_cameras.publisher import CameraPublisher
from so101_cameras.sources.v4l2 import V4l2Source
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.samples import Samples
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS

SECONDS = 20.0
WARM_UP = 3.0
RATE = 30.0
SCENES = 30  # frames, that repeat


class Naive(Node):
    """Decodes every frame, and encodes it for the topic."""

    def __init__(self, name: str, kernel: EmulatedKernel) -> None:
        super().__init__('naive')
        self._publisher = CameraPublisher(self, name, CameraInfo())
        self._source = V4l2Source('', 640, 480, RATE, kernel=kernel)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def open(self) -> None:
        self._source.open()
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._source.close()

    def _read(self) -> None:
        while not self._ending.is_set():
            frame = self._source.read(1.0)
            assert isinstance(frame.image, bytes)
            self._publisher.publish(from_jpeg(frame.image), frame.captured)


class Measured(NamedTuple):
    """Of both cameras: percent of a core, seconds, frames."""

    load: float
    latency: list[float]
    received: int
    lost: int
    size: float  # kB


def scenes() -> list[bytes]:
    """Return JPEG frames of a table with things on it and a sensor's noise, that moves."""
    random = np.random.default_rng(1)
    coarse = random.integers(60, 200, (24, 40, 3)).astype(np.uint8)
    table = cv2.resize(coarse, (800, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = cv2.GaussianBlur(random.normal(0, 9, (480, 800, 1)), (0, 0), 0.9)[..., None]
    noise = random.normal(0, 2, (480, 640, 3))
    frames = []
    for number in range(SCENES):
        at = 2 * number
        picture = ((table + grain)[:, at : at + 640] + noise).astype(np.float32)
        cv2.circle(picture, (100 + 10 * number, 240), 60, (200, 30, 30), -1)
        frames.append(to_jpeg(np.clip(picture, 0, 255).astype(np.uint8), 90))
    return frames


def serve(kind: str, name: str, folder: str) -> None:
    """Be the node of a camera."""
    kernel = EmulatedKernel(Path(folder))
    kernel.plug(EmulatedCamera(scenes(), rate=RATE))
    run(lambda: CameraNode(kernel) if kind == 'node' else Naive(name, kernel))


def measure(node: Node, kind: str, seconds: float, listening: bool = True) -> Measured:
    """Run both cameras, and take what they publish."""
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for name in CAMERAS:
            parameters = ['-p', f'camera:={name}'] if kind == 'node' else []
            (Path(folder) / name).mkdir()
            command = [sys.executable, __file__, kind, name, str(Path(folder) / name)]
            processes.append(Popen([*command, '--ros-args', '--log-level', 'warn', *parameters]))
        boxes = [
            (Mailbox(node, camera.compressed), Mailbox(node, camera.info))
            for camera in CAMERAS.values()
            if listening
        ]
        try:
            return _received(node, boxes, processes, seconds)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait()
            for box in (box for pair in boxes for box in pair):
                box.close()


def _received(
    node: Node,
    boxes: list[tuple[Mailbox, Mailbox]],
    processes: list[Popen[bytes]],
    seconds: float,
) -> Measured:
    while any(node.count_publishers(camera.info.name) != 1 for camera in CAMERAS.values()):
        time.sleep(0.1)
        if any(process.poll() is not None for process in processes):
            sys.exit('a camera ended')
    time.sleep(WARM_UP)
    for box in (box for pair in boxes for box in pair):
        _taken(box)
    begun, used = time.monotonic(), _used(processes)
    stamps: list[list[int]] = [[] for _ in boxes]
    latency: list[float] = []
    sizes: list[int] = []
    while time.monotonic() - begun < seconds:
        time.sleep(0.02)  # as the recorder, who looks 33 times a second
        for (images, infos), received in zip(boxes, stamps, strict=True):
            for message, info in _taken(images):
                received.append(to_nanoseconds(message.header.stamp))
                latency.append((info['source_timestamp'] - received[-1]) * 1e-9)
                sizes.append(len(message.data))
            _taken(infos)
    load = (_used(processes) - used) / (time.monotonic() - begun)
    received_all = sum(map(len, stamps))
    made = sum(round((each[-1] - each[0]) * 1e-9 * RATE) + 1 for each in stamps)
    kilobytes = sum(sizes) / 1e3 / max(1, len(sizes))
    return Measured(load, latency, received_all, made - received_all, kilobytes)


def _taken(box: Mailbox) -> list[tuple[Any, Any]]:
    return list(box.take())


def _used(processes: list[Popen[bytes]]) -> float:
    """Return the seconds of processor time that the processes have used."""
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def main() -> None:
    rclpy.init()
    node = Node('listener')
    print(f'two camera nodes, {SECONDS:.0f} s ...', flush=True)
    ours = measure(node, 'node', SECONDS)
    print('decoded and encoded again ...', flush=True)
    naive = measure(node, 'naive', SECONDS)
    print('nobody listens ...', flush=True)
    idle = measure(node, 'node', SECONDS / 2, listening=False)
    latency, base = Samples(10_000), Samples(10_000)
    for value in ours.latency:
        latency.add(value * 1e3)
    for value in naive.latency:
        base.add(value * 1e3)
    encoded: dict[str, Any] = {'baseline_name': 'decoded and encoded'}
    found = [
        at_most('processor_of_both', ours.load * 100, 10, '% of a core',
                baseline=naive.load * 100, **encoded),
        at_most('capture_to_publish_p95', latency.percentile(95), 5, 'ms',
                baseline=base.percentile(95), **encoded),
        untargeted('capture_to_publish_p50', latency.percentile(50), 'ms',
                   baseline=base.percentile(50), **encoded),
        exactly('frames_lost', ours.lost, 0, f'of {ours.received + ours.lost}',
                baseline=naive.lost, **encoded),
        untargeted('frame_size', ours.size, 'kB', baseline=naive.size, **encoded),
        untargeted('processor_when_nobody_listens', idle.load * 100, '% of a core'),
    ]  # fmt: skip
    figures.show('Two cameras, 640x480 motion JPEG at 30 Hz', found)
    figures.write(Path('build') / 'bench' / 'cameras.json', 'cameras', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    if sys.argv[1:]:
        serve(*sys.argv[1:4])
    main()
