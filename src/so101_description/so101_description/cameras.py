"""The robot's cameras. A new one goes here, and into so101_sim/scene.py where it is mounted."""

from typing import NamedTuple


class Camera(NamedTuple):
    """`topic` is the base of the camera's topics, `frame` the frame_id of its images."""

    topic: str
    frame: str


# Topics as realsense2_camera and usb_cam name them. The key is the camera's name in a LeRobot
# dataset: observation.images.<key>.
CAMERAS = {
    'wrist': Camera('wrist_camera/color', 'wrist_camera_color_optical_frame'),
    'overhead': Camera('overhead_camera', 'overhead_camera_optical_frame'),
}

# Height, width, channels (rgb8) of every camera's images.
IMAGE_SHAPE = (480, 640, 3)
