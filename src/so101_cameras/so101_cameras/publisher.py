"""One camera's topics: raw, JPEG (only while someone listens, as image_transport does), info."""

from array import array

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from so101_cameras.image import Array, to_jpeg
from so101_description import cameras
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS


class CameraPublisher:
    """Publishes the frames of one camera, and counts them."""

    def __init__(self, node: Node, name: str, info: CameraInfo) -> None:
        """`info` carries the intrinsics; its header is set for each frame."""
        self.published = 0
        self._frame = cameras.CAMERAS[name].frame
        self._info = info
        self._raw = node.publisher(CAMERAS[name].image)
        self._jpeg = node.publisher(CAMERAS[name].compressed)
        self._camera_info = node.publisher(CAMERAS[name].info)

    def publish(self, pixels: Array, captured: int) -> None:
        """Publish rgb8 pixels (height, width, 3) captured at `captured` nanoseconds."""
        height, width = pixels.shape[:2]
        message = Image(height=height, width=width, encoding='rgb8', step=3 * width)
        message.header.stamp = from_nanoseconds(captured)
        message.header.frame_id = self._frame
        data = array('B')  # the setter takes an array as it is; anything else is checked per byte
        data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast('B'))
        message.data = data
        self._raw.publish(message)
        if self._jpeg.get_subscription_count():
            jpeg = CompressedImage(header=message.header, format='rgb8; jpeg compressed bgr8')
            data = array('B')
            data.frombytes(to_jpeg(pixels))
            jpeg.data = data
            self._jpeg.publish(jpeg)
        self._info.header = message.header
        self._camera_info.publish(self._info)
        self.published += 1
