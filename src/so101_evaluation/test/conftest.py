"""Episodes, made up and written to disk, and a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from so101_cameras.image import to_jpeg
from so101_episodes.bag import Bag, Channel, message_definitions
from so101_episodes.episode import Episode, TopicCount

START = 1_700_000_000_000_000_000
IMAGES = '/overhead_camera/image_raw/compressed'


@pytest.fixture(scope='session')
def episode_of() -> Callable[..., Episode]:
    """Return a function that makes up an episode of 8 s: no images, two states lost."""

    def episode_of(**more: Any) -> Episode:
        states = TopicCount('sensor_msgs/msg/JointState', 1598, 1600, 2, 200.0)
        values: dict[str, Any] = {
            'complete': True,
            'kind': 'rollout',
            'task': 'Pick up the cube',
            'outcome': 'success',
            'reason': '',
            'checkpoint': 'outputs/train/checkpoints/010000/pretrained_model',
            'place': '1 of 4 (far left)',
            'started': START,
            'ended': START + 8_000_000_000,
            'duration_s': 8.0,
            'salvaged': False,
            'topics': {'/joint_states': states},
            'marks': (),
            'figures': {'tracking_rms_degrees': 0.5, 'starved_seconds': None},
            'arm': {},
            'cameras': {},
            'software': {},
        }
        return Episode(**values | more)

    return episode_of


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny SmolVLA of random weights; not to be changed."""
    from so101_policy import untrained_smolvla  # seconds of imports

    folder = tmp_path_factory.mktemp('policy') / 'tiny'
    untrained_smolvla.build(folder)
    return folder


@pytest.fixture(scope='session')
def write_episode(episode_of: Callable[..., Episode]) -> Callable[..., Episode]:
    """Return a function that writes an episode; its images are of a colour each: red, green, blue,
    and again.
    """
    store: Any = message_definitions()
    kind = 'sensor_msgs/msg/CompressedImage'
    time, header = store.types['builtin_interfaces/msg/Time'], store.types['std_msgs/msg/Header']

    def write_episode(folder: Path, images: int = 3, topic: str = IMAGES, **more: Any) -> Episode:
        bag = Bag(folder, [Channel(topic, kind, 10, False, False)])
        for index in range(images):
            pixels = np.zeros((480, 640, 3), np.uint8)
            pixels[..., index % 3] = 200
            message = store.types[kind](
                header=header(stamp=time(sec=index, nanosec=0), frame_id=''),
                format='jpeg',
                data=np.frombuffer(to_jpeg(pixels), np.uint8),
            )
            data = bytes(store.serialize_cdr(message, kind))
            bag.write(topic, data, START + index * 1_000_000_000)
        bag.close()
        topics = {topic: TopicCount(kind, images, images, 0, 30.0)}
        episode = episode_of(**{'topics': topics, **more})
        episode.save(folder)
        return episode

    return write_episode
