"""One camera's topics: raw and JPEG only while someone listens, as image_transport does; info."""

from array import array

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from so101_cameras.image import Array, from_jpeg, to_jpeg
from so101_cameras.intrinsics import Intrinsics
from so101_description import cameras
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS


class CameraPublisher:
    """Publishes the frames of one camera, and counts them. One thread at a time."""

    def __init__(self, node: Node, name: str, info: CameraInfo) -> None:
        """`info` carries the intrinsics; its header is set for each frame."""
        self.published = 0
        self.info = info
        self._raw = node.publisher(CAMERAS[name].image)
        self._jpeg = node.publisher(CAMERAS[name].compressed)
        self._info = node.publisher(CAMERAS[name].info)
        # What all images of a camera share is set once: making messages is dear in Python.
        self._image = Image(encoding='rgb8')
        self._compressed = CompressedImage(format='rgb8; jpeg compressed bgr8')
        for message in (self._image, self._compressed):
            message.header.frame_id = cameras.CAMERAS[name].frame

    def publish(self, picture: bytes | Array, captured: int) -> None:
        """Publish a JPEG, as it is, or rgb8 pixels, captured at `captured` nanoseconds.

        Raises ValueError when pixels are wanted of a JPEG that is none.
        """
        stamp = from_nanoseconds(captured)
        if self._jpeg.get_subscription_count():
            jpeg = picture if isinstance(picture, bytes) else to_jpeg(picture)
            self._compressed.header.stamp = stamp
            # The setters take an array as it is; anything else is checked byte by byte.
            self._compressed.data = array('B', jpeg)
            self._jpeg.publish(self._compressed)
        if self._raw.get_subscription_count():
            pixels = from_jpeg(picture) if isinstance(picture, bytes) else picture
            self._image.height, self._image.width = pixels.shape[:2]
            self._image.step = 3 * self._image.width
            self._image.header.stamp = stamp
            data = array('B')
            data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast('B'))
            self._image.data = data
            self._raw.publish(self._image)
        if self._info.get_subscription_count():
            self.info.header.stamp = stamp
            self.info.header.frame_id = self._image.header.frame_id
            self._info.publish(self.info)
        self.published += 1


def camera_info(intrinsics: Intrinsics) -> CameraInfo:
    """Return them as a message."""
    return CameraInfo(
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model=intrinsics.model,
        d=intrinsics.d,
        k=intrinsics.k,
        r=intrinsics.r,
        p=intrinsics.p,
    )
