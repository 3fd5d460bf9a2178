"""The images of one observation in memory that two processes share.

The memory is anonymous: it belongs to whoever holds its file descriptor and is gone with the last
of them, however they end. Nothing appears in /dev/shm.
"""

import mmap
import os

import numpy as np

from so101_description.cameras import CAMERAS, IMAGE_SHAPE


class Frames:
    """`pixels`: uint8, shape (camera, height, width, 3), rgb8, cameras in the order of CAMERAS."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Open the frames that another process handed down as `descriptor`, or make new ones."""
        shape = (len(CAMERAS), *IMAGE_SHAPE)
        size = int(np.prod(shape))
        if descriptor is None:
            descriptor = os.memfd_create('so101_frames')
            os.ftruncate(descriptor, size)
        self.descriptor = descriptor
        self.pixels = np.frombuffer(mmap.mmap(descriptor, size), np.uint8).reshape(shape)
