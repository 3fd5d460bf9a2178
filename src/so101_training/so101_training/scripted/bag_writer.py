"""A bag of a scripted scene, as the recorder writes one, with its episode.json."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_description.units import dataset_to_radians
from so101_episodes.bag import Bag, Channel, message_definitions
from so101_episodes.episode import Episode
from so101_node.topics import CAMERAS, JOINT_STATES, REFERENCE
from so101_training.scripted.scene import Scene

START = 1_780_000_000_000_000_000  # ns
RATE = 100.0  # Hz, of the joints

_DELAY = 0.02  # seconds from a picture to its receipt


def write_bag(folder: Path, scene: Scene) -> None:
    """Write the scene into a new folder.

    A camera's pictures are stamped with `scene.stamps`, seconds, else with the motion's times, and
    show the sample of that time; they are received `scene.delays` later.
    """
    joints = (JOINT_STATES, REFERENCE)
    cameras = {camera: CAMERAS[camera].compressed for camera in scene.cameras}
    bag = Bag(
        folder,
        [
            Channel(f'/{topic.name}', topic.type_name, 10, True, False)
            for topic in (*joints, *cameras.values())
        ],
    )
    for received, topic, data in sorted(_messages(scene), key=lambda each: each[0]):
        bag.write(topic, data, received)
    bag.close()
    end = START + round(scene.motion.seconds[-1] * 1e9)
    replace(
        Episode.begun(START, 'demonstration', scene.task, '', ''),
        complete=True,
        outcome=scene.outcome,
        reason=scene.reason,
        ended=end,
        duration_s=(end - START) * 1e-9,
    ).save(folder)


def _messages(scene: Scene) -> list[tuple[int, str, bytes]]:
    store: Any = message_definitions()
    kinds = store.types
    header, time = kinds['std_msgs/msg/Header'], kinds['builtin_interfaces/msg/Time']

    def headed(second: float) -> tuple[int, Any]:
        stamp = START + round(second * 1e9)
        return stamp, header(stamp=time(*divmod(stamp, 1_000_000_000)), frame_id='')

    found = []
    motion = scene.motion
    for topic, values in ((JOINT_STATES, motion.state), (REFERENCE, motion.action)):
        seconds = scene.stamps.get(topic.name)
        if seconds is None:
            seconds = np.arange(0, motion.seconds[-1], 1 / RATE)
        columns = [np.interp(seconds, motion.seconds, column) for column in values.T]
        poses = dataset_to_radians(np.stack(columns, axis=1))
        for second, pose in zip(seconds, poses, strict=True):
            stamp, head = headed(second)
            none = np.empty(0)
            message = kinds[topic.type_name](head, list(JOINTS), pose, none, none)
            data = bytes(store.serialize_cdr(message, topic.type_name))
            found.append((stamp + 1_000_000, f'/{topic.name}', data))
    for camera, picture in scene.cameras.items():
        topic = CAMERAS[camera].compressed
        for second in scene.stamps.get(camera, motion.seconds):
            index = int(np.clip(round(second * 30), 0, scene.length - 1))
            stamp, head = headed(second)
            jpeg = np.frombuffer(to_jpeg(picture(index)), np.uint8)
            message = kinds[topic.type_name](head, 'jpeg', jpeg)
            data = bytes(store.serialize_cdr(message, topic.type_name))
            delay = round(scene.delays.get(camera, _DELAY) * 1e9)
            found.append((stamp + delay, f'/{topic.name}', data))
    return found
