"""Recordings: made up, and written to disk as rosbag2 folders."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from so101_cameras.image import to_jpeg
from so101_description.joints import HOME, JOINTS
from so101_episodes.episode import Episode

STORE = get_typestore(Stores.ROS2_JAZZY)
START = 1_700_000_000_000_000_000
LATENCY = 4_000_000  # ns from stamp to receipt
TASK = 'Pick up the cube and place it in the bowl'

CAMERA_TOPICS = {
    'wrist': '/wrist_camera/color/image_raw',
    'overhead': '/overhead_camera/image_raw',
}
PHASES = {'wrist': 3_000_000, 'overhead': 14_000_000}  # ns after START

# Topic, type, nanoseconds of receipt, fields.
Message = tuple[str, str, int, dict[str, Any]]


def header(stamp: int) -> object:
    time = STORE.types['builtin_interfaces/msg/Time']
    seconds, rest = divmod(stamp, 1_000_000_000)
    return STORE.types['std_msgs/msg/Header'](stamp=time(sec=seconds, nanosec=rest), frame_id='')


def joints_message(topic: str, stamp: int, pose: Any, names: Any = JOINTS) -> Message:
    nothing = np.zeros(0)
    fields = {
        'header': header(stamp),
        'name': list(names),
        'position': np.array(pose, np.float64),
        'velocity': nothing,
        'effort': nothing,
    }
    return topic, 'sensor_msgs/msg/JointState', stamp + LATENCY, fields


def image_message(topic: str, stamp: int, pixels: NDArray[np.uint8], raw: bool) -> Message:
    height, width = pixels.shape[:2]
    fields: dict[str, Any] = {'header': header(stamp)}
    if raw:
        fields |= {'height': height, 'width': width, 'encoding': 'rgb8', 'is_bigendian': 0}
        fields |= {'step': 3 * width, 'data': pixels.reshape(-1)}
        return topic, 'sensor_msgs/msg/Image', stamp + LATENCY, fields
    fields |= {'format': 'jpeg', 'data': np.frombuffer(to_jpeg(pixels), np.uint8)}
    kind = 'sensor_msgs/msg/CompressedImage'
    return f'{topic}/compressed', kind, stamp + LATENCY, fields


def picture(camera: str, number: int) -> NDArray[np.uint8]:
    """A shaded picture with a disc that moves with the number, noise like a sensor's."""
    y, x = np.mgrid[:480, :640].astype(np.float32)
    shade = 90 + 50 * np.sin(x / 97 + len(camera)) + 40 * np.cos(y / 61)
    pixels = np.stack([shade, shade[::-1], 255 - shade], axis=-1)
    noise = np.random.default_rng(number).normal(0, 2, pixels.shape)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    centre = (60 + 7 * number % 520, 240 + 3 * number % 150)
    cv2.circle(pixels, centre, 40, (220, 60, 30), -1)
    return pixels


def pose(seconds: float) -> NDArray[np.float64]:
    return HOME + 0.3 * np.sin(seconds + np.arange(6))


def messages_of(seconds: float, raw: bool = False, first: int = START) -> list[Message]:
    """What a recorder hears: both cameras at 30 Hz, each at a phase of its own, joints at 200."""
    found = []
    for camera, topic in CAMERA_TOPICS.items():
        for number in range(int(seconds * 30)):
            stamp = first + PHASES[camera] + round(number * 1e9 / 30)
            found.append(image_message(topic, stamp, picture(camera, number), raw))
    for number in range(int(seconds * 200)):
        stamp, time = first + number * 5_000_000, number / 200
        found.append(joints_message('/joint_states', stamp + 500_000, pose(time - 0.05)))
        found.append(joints_message('/arm_controller/reference', stamp, pose(time)))
    return found


@pytest.fixture(scope='session')
def recording() -> Callable[..., Path]:
    """Return a function that writes a recording and returns its folder.

    `edit` may change its messages; `outcome` None is a plain bag without episode.json.
    Each is of an hour of its own.
    """

    hours = count()

    def recording(
        folder: Path,
        seconds: float = 1.0,
        edit: Callable[[list[Message]], list[Message]] = lambda messages: messages,
        outcome: str | None = 'success',
        reason: str = '',
        task: str = TASK,
        raw: bool = False,
        plugin: StoragePlugin = StoragePlugin.MCAP,
        compression: CompressionMode = CompressionMode.NONE,
        namespace: str = '',
    ) -> Path:
        later = next(hours) * 3_600_000_000_000
        writer = Writer(folder, version=9, storage_plugin=plugin)
        if compression != CompressionMode.NONE:
            writer.set_compression(compression, CompressionFormat.ZSTD)
        messages = edit(messages_of(seconds, raw, START + later))
        if outcome is None and task:
            text = ('/policy/task', 'std_msgs/msg/String', START + later, {'data': task})
            messages = [*messages, text]
        with writer:
            connections = {
                topic: writer.add_connection(namespace + topic, kind, typestore=STORE)
                for topic, kind in {topic: kind for topic, kind, _, _ in messages}.items()
            }
            for topic, kind, received, fields in sorted(messages, key=lambda m: m[2]):
                data = STORE.serialize_cdr(STORE.types[kind](**fields), kind)
                writer.write(connections[topic], received, data)
        if outcome is not None:
            begun = Episode.begun(START + later, 'demonstration', task, '', '')
            known = {'complete': True, 'outcome': outcome, 'reason': reason}
            replace(begun, **known, duration_s=seconds).save(folder)
        return folder

    return recording
