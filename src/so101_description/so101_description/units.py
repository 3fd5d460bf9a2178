"""LeRobot's dataset units and radians: the one place where degrees and 0 to 100 exist.

Dataset units are degrees for the five arm joints and 0 (closed) to 100 (open) for the gripper, as
LeRobot records them since 0.4.4. There are no sign flips; the gripper is linear over its URDF
range.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS

_CLOSED, _OPEN = URDF_LIMITS['gripper']


def dataset_to_radians(values: ArrayLike) -> NDArray[np.float64]:
    """Convert joint values of shape (..., 6) from dataset units to radians."""
    values = _checked(values)
    radians = np.deg2rad(values)
    radians[..., GRIPPER] = _CLOSED + values[..., GRIPPER] / 100.0 * (_OPEN - _CLOSED)
    return radians


def radians_to_dataset(radians: ArrayLike) -> NDArray[np.float64]:
    """Convert joint angles of shape (..., 6) from radians to dataset units."""
    radians = _checked(radians)
    values = np.rad2deg(radians)
    values[..., GRIPPER] = (radians[..., GRIPPER] - _CLOSED) / (_OPEN - _CLOSED) * 100.0
    return values


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != len(JOINTS):
        raise ValueError(f'expected {len(JOINTS)} joints in the last axis, got {array.shape}')
    return array
