"""The picture of so101_sim's README: the scene in the looks of some seeds, as both cameras see it.

python tools/looks.py docs/images/looks.jpg

First the scene as it is built; what differs beside it is light, colours and camera poses alone.
"""

import argparse
from pathlib import Path

import numpy as np

from so101_cameras.image import to_jpeg
from so101_description.cameras import CAMERAS
from so101_sim import scene
from so101_sim.look import Look, look
from so101_sim.renderer import Renderer
from so101_sim.world import World

SEEDS = range(8)
SMALLER = 4  # times, than the cameras' images
GAP = 4  # pixels
QUALITY = 80


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    reader.add_argument('picture', type=Path)
    path = reader.parse_args().picture
    model = scene.build()
    renderer = Renderer(model)
    renderer.place(World(model, 0).positions)
    columns = []
    for worn in (Look(), *map(look, SEEDS)):
        renderer.wear(worn)
        rows = [_small(renderer.image(camera)) for camera in CAMERAS]
        columns.append(np.vstack(rows))
    renderer.close()
    path.write_bytes(to_jpeg(np.hstack(columns), QUALITY))


def _small(image: np.ndarray) -> np.ndarray:
    height, width, _ = (size // SMALLER for size in image.shape)
    means = image.reshape(height, SMALLER, width, SMALLER, 3).mean((1, 3))
    return np.pad(means.astype(np.uint8), ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


if __name__ == '__main__':
    main()
