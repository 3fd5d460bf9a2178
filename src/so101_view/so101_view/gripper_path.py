"""The way of the gripper through a chunk of actions.

Messages are duck-typed, so this module needs no ROS.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from so101_description.joints import JOINTS
from so101_description.kinematics import gripper_frame

Array = NDArray[np.float64]


class GripperPath(NamedTuple):
    """Where gripper_frame_link is at each action, in the frame of base_link."""

    times: list[int]  # ns of the system clock
    positions: Array  # (n, 3), m
    orientations: Array  # (n, 4), quaternions x, y, z, w


def of_chunk(chunk: Any) -> GripperPath:
    """Return the way through a trajectory_msgs/JointTrajectory with positions of all joints.

    Raises ValueError for one that is empty, or not of these joints.
    """
    if sorted(chunk.joint_names) != sorted(JOINTS):
        raise ValueError(f'a chunk of {", ".join(chunk.joint_names) or "no joints"}')
    if not chunk.points:
        raise ValueError('a chunk without actions')
    if any(len(point.positions) != len(JOINTS) for point in chunk.points):
        raise ValueError(f'a chunk with an action that has not {len(JOINTS)} positions')
    order = [list(chunk.joint_names).index(joint) for joint in JOINTS]
    angles = np.array([point.positions for point in chunk.points])[:, order]
    if not np.isfinite(angles).all():
        raise ValueError('a chunk with a position that is not a finite number')
    poses = gripper_frame(angles)
    start = chunk.header.stamp.sec * 1_000_000_000 + chunk.header.stamp.nanosec
    return GripperPath(
        [
            start + point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
            for point in chunk.points
        ],
        poses[:, :3, 3],
        Rotation.from_matrix(poses[:, :3, :3]).as_quat(),
    )
