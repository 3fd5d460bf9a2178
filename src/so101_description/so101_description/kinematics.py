"""Where the links are for given joint angles: forward kinematics.

Metres and radians, in the frame of base_link: x forward, y left, z up. A pose is a homogeneous
matrix of shape (..., 4, 4) that takes coordinates of the link to coordinates of base_link.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_description.joints import JOINTS

Array = NDArray[np.float64]

BASE = 'base_link'
GRIPPER_FRAME = 'gripper_frame_link'  # between the tips of the jaws


class Origin(NamedTuple):
    """How a link is attached: to which parent, where (m), turned by roll, pitch and yaw (rad)."""

    parent: str
    xyz: tuple[float, float, float]
    rpy: tuple[float, float, float]


# Source: the so101_new_calib URDF of SO-ARM100. Parents before children; the first six turn about
# their own z, in the order of JOINTS.
LINKS = {
    'shoulder_link': Origin(
        BASE, (0.0388353, -8.97657e-9, 0.0624), (3.14159, 4.18253e-17, -3.14159)
    ),
    'upper_arm_link': Origin(
        'shoulder_link', (-0.0303992, -0.0182778, -0.0542), (-1.5708, -1.5708, 0.0)
    ),
    'lower_arm_link': Origin('upper_arm_link', (-0.11257, -0.028, 0.0), (0.0, 0.0, 1.5708)),
    'wrist_link': Origin('lower_arm_link', (-0.1349, 0.0052, 0.0), (0.0, 0.0, -1.5708)),
    'gripper_link': Origin('wrist_link', (0.0, -0.0611, 0.0181), (1.5708, 0.0486795, 3.14159)),
    'moving_jaw_so101_v1_link': Origin(
        'gripper_link', (0.0202, 0.0188, -0.0234), (1.5708, -5.24284e-8, 0.0)
    ),
    GRIPPER_FRAME: Origin(
        'gripper_link', (-0.0079, -0.000218121, -0.0981274), (0.0, 3.14159, 0.0)
    ),
}


def link_poses(positions: ArrayLike) -> dict[str, Array]:
    """Return the pose of every link, shape (..., 4, 4), for joint angles of shape (..., 6)."""
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim == 0 or positions.shape[-1] != len(JOINTS):
        raise ValueError(f'expected {len(JOINTS)} joints in the last axis, got {positions.shape}')
    poses = {BASE: np.broadcast_to(np.eye(4), (*positions.shape[:-1], 4, 4))}
    for index, (link, origin) in enumerate(LINKS.items()):
        pose = poses[origin.parent] @ _ATTACHED[link]
        poses[link] = pose @ _turn(positions[..., index]) if index < len(JOINTS) else pose
    return poses


def gripper_frame(positions: ArrayLike) -> Array:
    """Return the pose of gripper_frame_link, (..., 4, 4), for joint angles of shape (..., 6)."""
    return link_poses(positions)[GRIPPER_FRAME]


def transform(xyz: ArrayLike, rpy: ArrayLike) -> Array:
    """Return the pose (4, 4) at xyz, turned by roll about x, then pitch about y, then yaw about z.

    All three about the parent's axes, as a URDF has it.
    """
    roll, pitch, yaw = np.asarray(rpy, dtype=np.float64)
    pose = np.eye(4)
    pose[:3, 3] = xyz
    pose[:3, :3] = _about('z', yaw) @ _about('y', pitch) @ _about('x', roll)
    return pose


def _about(axis: str, angle: float) -> Array:
    first, second = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[second, first] = np.sin(angle)
    rotation[first, second] = -np.sin(angle)
    return rotation


def _turn(angles: Array) -> Array:
    """Return the poses (..., 4, 4) of links turned about their z by angles of shape (...)."""
    poses = np.zeros((*angles.shape, 4, 4))
    poses[..., 0, 0] = poses[..., 1, 1] = np.cos(angles)
    poses[..., 1, 0] = np.sin(angles)
    poses[..., 0, 1] = -poses[..., 1, 0]
    poses[..., 2, 2] = poses[..., 3, 3] = 1.0
    return poses


_ATTACHED = {link: transform(origin.xyz, origin.rpy) for link, origin in LINKS.items()}
