"""What the pixels of one picture tell of its camera; pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import Array

# Brightness, of 0 to 255. A camera that delivers black sends 0, or 16 where the black of video
# range was taken for full range.
DARK = 16.0

# Standard deviation of the brightness. Averaged over blocks of 8x8 pixels, the noise of a covered
# lens is below one; a room by night has its lamps and windows, and an arm in the dark its outline.
FLAT = 2.0

# A block so bright has lost its content: sensors clip at 255, JPEG blurs that a little.
CLIPPED = 250

# The share of such blocks from which on nothing is to be seen.
WHITE = 0.9

# Pixels, each way, of a block; and cells, each way, that a picture is compared by.
BLOCK = 8
_COLUMNS, _ROWS = 16, 12


@dataclass(frozen=True)
class Look:
    """`width`, `height`: pixels, to a multiple of BLOCK.

    `brightness`, `contrast`: mean and standard deviation over the blocks, of 0 to 255. `clipped`:
    the share of blocks without content for brightness. `cells`: the mean red, green and blue of
    the parts of the picture, shape (12, 16, 3), of 0 to 255.
    """

    width: int
    height: int
    brightness: float
    contrast: float
    clipped: float
    cells: NDArray[np.float32]

    @property
    def is_black(self) -> bool:
        return self.brightness <= DARK and self.contrast <= FLAT

    @property
    def is_white(self) -> bool:
        return self.clipped >= WHITE


def look(pixels: Array) -> Look:
    """Look at rgb8 pixels, shape (height, width, 3)."""
    height, width = pixels.shape[:2]
    size = (-(-width // BLOCK), -(-height // BLOCK))
    return look_at_blocks(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]


def look_at_blocks(blocks: Array) -> Look:
    """Look at a picture of which each pixel is the mean of a block, rgb8."""
    rows, columns = blocks.shape[:2]
    grey = cv2.cvtColor(blocks, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    return Look(
        width=columns * BLOCK,
        height=rows * BLOCK,
        brightness=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        clipped=float(np.count_nonzero(grey >= CLIPPED)) / grey.size,
        cells=cv2.resize(
            blocks.astype(np.float32), (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA
        ),  # type: ignore[arg-type]
    )
