"""A node with an emulated camera, as a process of its own, told by its standard input.

    python emulated_camera_node.py <camera or controls> <folder> --ros-args -p ...

Orders, one a line: plug <number>, unplug, change <field> <number>, show <what>. `frames` says what
the camera shows from then on. The camera keeps its settings in <folder>/memory.json.
"""

import sys
import threading
from pathlib import Path

import numpy as np

from so101_cameras.camera_node import CameraNode
from so101_cameras.controls_node import ControlsNode
from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.image import to_jpeg
from so101_node.node import run

LIGHT = [to_jpeg(np.full((480, 640, 3), 20 * level, np.uint8)) for level in range(10)]
SHOWN = {
    'light': LIGHT,
    'black': [to_jpeg(np.zeros((480, 640, 3), np.uint8))],
    'frozen': LIGHT[5:6],
    'truncated': [frame[:2000] for frame in LIGHT],
    'small': [to_jpeg(np.zeros((240, 424, 3), np.uint8))],
}


def obey(kernel: EmulatedKernel, camera: EmulatedCamera) -> None:
    for line in sys.stdin:
        match line.split(maxsplit=2):
            case ['plug', number]:
                kernel.plug(camera, int(number))
            case ['unplug']:
                kernel.unplug(camera)
            case ['show', *what]:
                kernel.change(camera, frames=SHOWN[' '.join(what)])
            case ['change', 'size', size]:
                width, height = map(int, size.split('x'))
                kernel.change(camera, sizes=[(width, height)])
            case ['change', 'version', version]:
                kernel.change(camera, version=version)
            case ['change', field, value]:
                kernel.change(camera, **{field: float(value)})
            case _:
                raise ValueError(line)


def main() -> None:
    node = {'camera': CameraNode, 'controls': ControlsNode}[sys.argv.pop(1)]
    folder = Path(sys.argv.pop(1))
    camera = EmulatedCamera(LIGHT, memory=folder / 'memory.json')
    kernel = EmulatedKernel(folder)
    threading.Thread(target=obey, args=(kernel, camera), daemon=True).start()
    run(lambda: node(kernel))


if __name__ == '__main__':
    main()
