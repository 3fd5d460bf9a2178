"""Images as numpy arrays: rgb8, shape (height, width, 3), uint8.

Messages are duck-typed, so this module needs no ROS.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]

JPEG_QUALITY = 90

# What sensor_msgs/image_encodings.hpp and the drivers of cameras call their images: bytes a pixel
# in a row, and OpenCV's conversion to rgb8. OpenCV names a Bayer pattern by the second row.
_BYTES = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'mono16': (2, cv2.COLOR_GRAY2RGB),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUYV),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUYV),
    'nv12': (1, cv2.COLOR_YUV2RGB_NV12),
    'nv21': (1, cv2.COLOR_YUV2RGB_NV21),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}
_PLANES = ('nv12', 'nv21')  # of brightness, and behind it one half as high of colour
_PAIRS = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', *_PLANES)  # two pixels share their colour

ENCODINGS = tuple(_BYTES)


def from_message(message: Any) -> Array:
    """Return the pixels of a sensor_msgs/Image as rgb8, without copying an rgb8 one.

    Of 16 bits the upper 8 remain. Raises ValueError for an encoding that is none of ENCODINGS, or
    a size that is not what the header fields say.
    """
    return to_rgb8(
        message.data,
        message.encoding,
        message.width,
        message.height,
        message.step,
        bool(getattr(message, 'is_bigendian', False)),
    )


def to_rgb8(
    data: Any, encoding: str, width: int, height: int, step: int, big_endian: bool = False
) -> Array:
    """Return the pixels in `data`, bytes of rows of `step` bytes, as rgb8; see from_message."""
    if encoding not in _BYTES:
        raise ValueError(f'image encoding {encoding!r}: expected one of {", ".join(ENCODINGS)}')
    size, conversion = _BYTES[encoding]
    rows = height * 3 // 2 if encoding in _PLANES else height
    whole = not (encoding in _PAIRS and width % 2) and not (encoding in _PLANES and height % 2)
    if not whole or step < width * size or len(data) != rows * step or height * width == 0:
        raise ValueError(f'image {width}x{height}, step {step}, {encoding}: {len(data)} bytes')
    bytes_ = np.frombuffer(data, np.uint8).reshape(rows, step)[:, : width * size]
    if encoding == 'mono16':
        bytes_ = bytes_[:, 0 if big_endian else 1 :: 2]
        size = 1
    pixels = bytes_.reshape(rows, width, size)
    if conversion is None:
        return pixels
    return cv2.cvtColor(pixels, conversion)  # type: ignore[return-value]


def to_jpeg(pixels: Array, quality: int = JPEG_QUALITY) -> bytes:
    """Encode rgb8 pixels as JPEG."""
    encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality)
    )[1]
    return encoded.tobytes()


def from_compressed(message: Any) -> Array:
    """Return the pixels of a sensor_msgs/CompressedImage as rgb8.

    Its data says itself whether it is JPEG or PNG; what image_transport says of the colours
    ('rgb8; jpeg compressed bgr8') is true of every decoder. Raises ValueError when it is neither,
    or a compressed depth image.
    """
    if 'compressedDepth' in message.format:
        raise ValueError(f'compressed format {message.format!r}: expected jpeg or png')
    return from_jpeg(bytes(message.data))


def from_jpeg(data: bytes) -> Array:
    """Decode a JPEG, or a PNG, to rgb8 pixels; raises ValueError when it is none."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise ValueError(f'not a JPEG image: {len(data)} bytes starting {bytes(data[:4])!r}')
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
