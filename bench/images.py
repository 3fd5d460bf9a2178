"""Two raw 640x480 streams at 30 Hz from one process to another: our DDS profile and the default.

`make bench NAME=images`; ten seconds each.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo

from so101_bringup import figures
from so101_bringup.figures import at_most, exactly
from so101_cameras.publisher import CameraPublisher
from so101_node import dds
from so101_node.node import Node
from so101_node.reception import Reception
from so101_node.topics import CAMERAS

FRAMES = 300  # of each camera
RATE = 30.0


def publish() -> None:
    """Publish FRAMES frames of each camera once both have a subscriber."""
    rclpy.init()
    node = Node('publisher')
    cameras = [CameraPublisher(node, name, CameraInfo()) for name in CAMERAS]
    pixels = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    while any(not node.count_subscribers(camera.image.name) for camera in CAMERAS.values()):
        time.sleep(0.05)
    time.sleep(1.0)  # the subscriber's side of discovery
    start = time.monotonic()
    for frame in range(FRAMES):
        time.sleep(max(0.0, start + frame / RATE - time.monotonic()))
        for camera in cameras:
            camera.publish(pixels, time.time_ns())
    time.sleep(1.0)  # the last frames are on their way


def receive(profile: dict[str, str]) -> tuple[int, float, float]:
    """Return frames received of 2 FRAMES, and p50 and p95 of the latency in milliseconds."""
    environment = {name: text for name, text in os.environ.items() if name not in dds.profile()}
    receiver = subprocess.run(
        [sys.executable, __file__, 'receive'],
        env=environment | profile,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    received, p50, p95 = receiver.stdout.split()
    return int(received), float(p50), float(p95)


def receive_here() -> None:
    """Start a publisher, count what arrives until it ends, print the result."""
    rclpy.init()
    node = Node('receiver')
    receptions = []
    for camera in CAMERAS.values():
        reception = Reception()
        receptions.append(reception)
        node.subscribe(camera.image, lambda _, info, reception=reception: reception.add(info))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher = subprocess.Popen([sys.executable, __file__, 'publish'])
    while publisher.poll() is None:
        executor.spin_once(timeout_sec=0.1)
    latency = np.concatenate([list(reception.latency) for reception in receptions]) * 1e3
    p50, p95 = np.percentile(latency, (50, 95))
    print(sum(reception.received for reception in receptions), p50, p95)


def main() -> None:
    print(f'{2 * FRAMES} frames with the default DDS configuration ...', flush=True)
    base_received, base_p50, base_p95 = receive({})
    print(f'{2 * FRAMES} frames with the DDS profile ...', flush=True)
    received, p50, p95 = receive(dds.profile())
    default: dict[str, Any] = {'baseline_name': 'default'}
    found = [
        exactly('frames_lost', 2 * FRAMES - received, 0, '', required=True,
                baseline=2 * FRAMES - base_received, **default),
        at_most('latency_p50', p50, 3.0, 'ms', baseline=base_p50, **default),
        figures.Figure('latency_p95', p95, 'ms', baseline=base_p95, **default),
    ]  # fmt: skip
    figures.show('Two raw 640x480 streams at 30 Hz', found)
    figures.write(Path('build') / 'bench' / 'images.json', 'images', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    {'publish': publish, 'receive': receive_here}.get(sys.argv[-1], main)()
