"""One image as it came, compressed or raw: whether it is the same as another, and what it shows.

Messages are duck-typed, so this module needs no ROS.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from so101_cameras.image import from_message
from so101_cameras.picture_health import Look, look, look_at_blocks

# Of the bytes of two raw images: live ones differ in such a sample already.
_SAMPLE = 997


@dataclass(frozen=True)
class Compressed:
    """The data of a CompressedImage: JPEG, or what else OpenCV decodes."""

    data: bytes

    def look(self) -> Look | None:
        """Return what it shows; None: it is no image.

        Decoded at an eighth of its size: 0.6 ms for 640x480, half of what all of it takes.
        """
        data = np.frombuffer(self.data, np.uint8)
        blocks = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) if self.data else None
        if blocks is None:
            return None
        return look_at_blocks(cv2.cvtColor(blocks, cv2.COLOR_BGR2RGB))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Raw:
    """An Image message."""

    message: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Raw):
            return False
        one, two = (np.frombuffer(picture.message.data, np.uint8) for picture in (self, other))
        if not np.array_equal(one[::_SAMPLE], two[::_SAMPLE]):
            return False
        return np.array_equal(one, two)

    __hash__ = None  # type: ignore[assignment]

    def look(self) -> Look | None:
        """Return what it shows; None: it is no image, or of an encoding that is not known."""
        try:
            return look(from_message(self.message))
        except ValueError:
            return None


Picture = Compressed | Raw
