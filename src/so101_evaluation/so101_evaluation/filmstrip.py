"""An episode at a glance: its first, middle and last image, side by side in one small JPEG."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.serde import SerdeError

from so101_cameras.image import Array, from_jpeg, to_jpeg
from so101_description.cameras import CAMERAS
from so101_episodes import bag_scan
from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode
from so101_node.error import UserError

# Pixels of one image. In this size and quality a picture of a desk takes 4 to 9 kB an episode, and
# pure noise 33: 200 episodes even of that are less than 9 MB in a page, as text.
WIDTH, HEIGHT = 160, 120
QUALITY = 70

# The camera that shows most; another one only where it has no image.
_BY_PREFERENCE = sorted(CAMERAS, key=lambda name: name != 'overhead')


def filmstrip(folder: Path, episode: Episode) -> bytes | None:
    """Return a JPEG of three images, HEIGHT by 3 WIDTH pixels; None when it has no images.

    Raises UserError when the bag does not hold what `episode` says.
    """
    if (topic := _images(episode)) is None:
        return None
    count = episode.topics[topic].messages
    chosen = (0, count // 2, count - 1)
    small: dict[int, Array] = {}
    try:
        of_topic = (
            data
            for file in folder.glob('*.mcap')
            for channel, _, data in bag_scan.messages(file)
            if channel.topic == topic
        )
        for index, data in enumerate(of_topic):
            if index in chosen:
                small[index] = _small(data, episode.topics[topic].type)
    except (OSError, ValueError, SerdeError) as error:
        raise UserError(f'the bag is broken: {error}; copy it again') from error
    if missing := set(chosen) - set(small):
        raise UserError(
            f'the bag is broken: it ends before image {max(missing) + 1} of {count} of {topic}; '
            'copy it again'
        )
    return to_jpeg(np.hstack([small[index] for index in chosen]), QUALITY)


def _small(data: bytes, type_name: str) -> Array:
    store: Any = message_definitions()
    pixels = from_jpeg(store.deserialize_cdr(data, type_name).data.tobytes())
    return cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _images(episode: Episode) -> str | None:
    """Return the topic to show, the same for all three images."""
    names = [f'{CAMERAS[name].topic}/image_raw/compressed' for name in _BY_PREFERENCE]
    there = {topic.lstrip('/'): topic for topic, of in episode.topics.items() if of.messages}
    return next((there[name] for name in names if name in there), None)
