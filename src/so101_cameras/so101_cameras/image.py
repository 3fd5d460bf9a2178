"""Images as numpy arrays: rgb8, shape (height, width, 3), uint8.

Messages are duck-typed, so this module needs no ROS.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]

JPEG_QUALITY = 90


def from_message(message: Any) -> Array:
    """Return the pixels of a sensor_msgs/Image as rgb8, without copying an rgb8 one.

    Raises ValueError for an encoding other than rgb8, bgr8 and mono8, or a size that is not what
    the header fields say.
    """
    channels = {'rgb8': 3, 'bgr8': 3, 'mono8': 1}.get(message.encoding)
    if channels is None:
        raise ValueError(f'image encoding {message.encoding!r}: expected rgb8, bgr8 or mono8')
    height, width, step = message.height, message.width, message.step
    if step < width * channels or len(message.data) != height * step or height * width == 0:
        raise ValueError(
            f'image {width}x{height}, step {step}, {message.encoding}: {len(message.data)} bytes'
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    if message.encoding == 'bgr8':
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
    if message.encoding == 'mono8':
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return pixels


def to_jpeg(pixels: Array, quality: int = JPEG_QUALITY) -> bytes:
    """Encode rgb8 pixels as JPEG."""
    encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality)
    )[1]
    return encoded.tobytes()


def from_jpeg(data: bytes) -> Array:
    """Decode a JPEG to rgb8 pixels; raises ValueError when it is none."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise ValueError(f'not a JPEG image: {len(data)} bytes starting {bytes(data[:4])!r}')
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
