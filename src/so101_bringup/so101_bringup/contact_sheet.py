"""An episode at a glance: frames of both cameras over its time, in one picture."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import Reader

from so101_cameras.image import Array, from_jpeg
from so101_episodes.bag import message_definitions

COLUMNS = 6
WIDTH, HEIGHT = 320, 240  # of one frame, pixels


def write_contact_sheet(episode: Path, path: Path) -> Path:
    """Write a PNG: a row per camera, COLUMNS frames evenly over the episode. Returns `path`."""
    typestore: Any = message_definitions()
    rows = []
    with Reader(episode) as reader:
        for connection in sorted(reader.connections, key=lambda c: c.topic):
            if not connection.topic.endswith('/compressed') or not connection.msgcount:
                continue
            chosen = set(np.linspace(0, connection.msgcount - 1, COLUMNS).astype(int))
            frames = [
                from_jpeg(bytes(typestore.deserialize_cdr(data, connection.msgtype).data))
                for index, (_, _, data) in enumerate(reader.messages([connection]))
                if index in chosen
            ]
            rows.append(_row(frames))
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return path


def _row(frames: list[Array]) -> Array:
    """Return COLUMNS frames side by side; missing ones are black."""
    row = np.zeros((HEIGHT, COLUMNS * WIDTH, 3), np.uint8)
    for index, frame in enumerate(frames):
        row[:, index * WIDTH : (index + 1) * WIDTH] = cv2.resize(frame, (WIDTH, HEIGHT))
    return row
