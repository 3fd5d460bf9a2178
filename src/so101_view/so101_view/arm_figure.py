"""The arm as the page shows it: joint values for a person, and lines to be drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS, URDF_LIMITS
from so101_description.kinematics import BASE, GRIPPER_FRAME, link_poses
from so101_description.units import radians_to_dataset
from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE

Array = NDArray[np.float64]

_MOVING_JAW = 'moving_jaw_so101_v1_link'
_LINE = (
    BASE,
    'shoulder_link',
    'upper_arm_link',
    'lower_arm_link',
    'wrist_link',
    'gripper_link',
    GRIPPER_FRAME,
)
# m, in the moving jaw's frame: its fingertip, as the so101-nexus package has it.
_JAW_TIP = np.array([-0.01136, -0.076, 0.019, 1.0])


def robot(cameras: Sequence[str]) -> dict[str, Any]:
    """Return what does not change: these cameras, joints, limits, the square in which objects lie.

    Joint values are degrees, and of the gripper the percentage of its range; metres.
    """
    low, high = radians_to_dataset(np.array(list(URDF_LIMITS.values())).T)
    return {
        'cameras': sorted(cameras),
        'joints': JOINTS,
        'units': ['°' if joint != 'gripper' else '%' for joint in JOINTS],
        'low': low.round(1).tolist(),
        'high': high.round(1).tolist(),
        'square': {'centre': SQUARE_CENTRE, 'size': SQUARE_SIZE},
    }


def figure(angles: Array) -> dict[str, Any]:
    """Return what is shown of joint angles (6,), radians.

    The values for a person, and points (x, y, z) in base_link: the arm's line and its jaw's.
    """
    poses = link_poses(angles)
    jaw = poses[_MOVING_JAW]
    return {
        'values': radians_to_dataset(angles).round(2).tolist(),
        'arm': np.array([poses[link][:3, 3] for link in _LINE]).round(4).tolist(),
        'jaw': np.array([poses['gripper_link'][:3, 3], jaw[:3, 3], (jaw @ _JAW_TIP)[:3]])
        .round(4)
        .tolist(),
    }
