"""The film of README: an episode that was recorded in simulation, seen from beside the table.

python tools/film.py EPISODE docs/images/simulation.gif

The arm and the cube move as the bag's sim/state says; in the corners is what the cameras saw then.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# As so101_sim renders; mujoco reads it when it is imported.
os.environ.setdefault('MUJOCO_GL', 'egl')

import mujoco
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState

from so101_description.cameras import CAMERAS
from so101_node.topics import SIM_STATE
from so101_sim import scene

WIDTH, HEIGHT = 640, 480
INSET = 4  # times as small as the film
FRAMES = 10  # a second, of the 30 that the simulation gives
VIEW = {'lookat': (0.18, 0.02, 0.10), 'distance': 0.75, 'azimuth': 145.0, 'elevation': -20.0}

Image = NDArray[np.uint8]


def images(episode: Path) -> Iterator[Image]:
    """Yield the frames of the film."""
    model = scene.build()
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    beside = mujoco.MjvCamera()
    for name, value in VIEW.items():
        setattr(beside, name, value)
    with Reader(episode) as reader:
        topics = [one for one in reader.connections if one.topic == f'/{SIM_STATE.name}']
        messages = [raw for _, _, raw in reader.messages(topics)]
    for raw in messages[:: 30 // FRAMES]:
        data.qpos[:] = deserialize_message(raw, JointState).position
        mujoco.mj_forward(model, data)
        renderer.update_scene(data, beside)
        film = renderer.render().copy()
        for place, camera in enumerate(CAMERAS):
            renderer.update_scene(data, camera)
            small = renderer.render()[::INSET, ::INSET]
            top = place * (len(small) + 12) + 12
            film[top - 2 : top + len(small) + 2, -small.shape[1] - 14 : -10] = 255
            film[top : top + len(small), -small.shape[1] - 12 : -12] = small
        yield film


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    reader.add_argument('episode', type=Path)
    reader.add_argument('film', type=Path)
    given = reader.parse_args()
    raw = ('-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{WIDTH}x{HEIGHT}', '-r', str(FRAMES))
    # One palette of the film's own colours, and only what changes is stored.
    colours = 'split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=none'
    line = ['ffmpeg', '-v', 'error', '-y', *raw, '-i', '-', '-filter_complex', colours]
    with subprocess.Popen([*line, str(given.film)], stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin
        for image in images(given.episode):
            encoder.stdin.write(image.tobytes())
        encoder.stdin.close()
    print(f'{given.film}: {given.film.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
