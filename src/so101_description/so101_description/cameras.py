"""The robot's cameras. A new one goes here; the simulation and the robot's model mount it."""

import math
from typing import NamedTuple

from so101_description.kinematics import BASE


class Camera(NamedTuple):
    """`topic` is the base of the camera's topics, `frame` the frame_id of its images.

    `frame` is an optical frame: z where the camera looks, x right and y down in the image. It is
    fixed to `link` at xyz (m), turned by roll, pitch and yaw (rad) as in a URDF. A real camera
    stands about there: these are the simulation's.
    """

    topic: str
    frame: str
    link: str
    xyz: tuple[float, float, float]
    rpy: tuple[float, float, float]


# Topics as realsense2_camera and usb_cam name them. The key is the camera's name in a LeRobot
# dataset: observation.images.<key>.
CAMERAS = {
    # Looking at the fingertips (MuJoCo Menagerie's SO-101).
    'wrist': Camera(
        'wrist_camera/color',
        'wrist_camera_color_optical_frame',
        'gripper_link',
        (0.0, 0.055, -0.045),
        (math.pi - 0.57, 0.0, 0.0),
    ),
    # Straight down, the arm's forward direction up in the image.
    'overhead': Camera(
        'overhead_camera',
        'overhead_camera_optical_frame',
        'base_link',
        (0.17, 0.03, 0.72),
        (math.pi, 0.0, -math.pi / 2),
    ),
}

# Height, width, channels (rgb8) of every camera's images.
IMAGE_SHAPE = (480, 640, 3)


def on_arm(name: str) -> bool:
    """Return whether that camera moves with the arm."""
    return CAMERAS[name].link != BASE
