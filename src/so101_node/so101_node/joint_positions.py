"""The six joints as they come in: out of a JointState, or as the parameter `home`; pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_node.error import UserError


def joint_positions(names: Sequence[str], positions: Sequence[float]) -> NDArray[np.float64]:
    """Return the positions, radians in the order of JOINTS, of a JointState's name and position.

    The joints may come in any order, among others. Raises UserError for a joint that is missing,
    is there twice, or whose position is missing or not finite.
    """
    if len(names) != len(positions) or len(set(names)) != len(names):
        raise UserError(
            f'a joint state has {len(positions)} positions for {len(names)} joints '
            f'({", ".join(names)}); its publisher must name each joint once, with its position'
        )
    found = dict(zip(names, positions, strict=True))
    missing = [joint for joint in JOINTS if joint not in found]
    if missing:
        raise UserError(
            f'a joint state lacks {", ".join(missing)}; it has {", ".join(found) or "no joint"}; '
            'check its publisher'
        )
    radians = np.array([found[joint] for joint in JOINTS], dtype=np.float64)
    if not np.isfinite(radians).all():
        raise UserError(
            f'a joint state holds a position that is not finite: {radians.tolist()}; '
            'check its publisher'
        )
    return radians


def checked_home(given: Sequence[float]) -> NDArray[np.float64]:
    """Return the parameter `home` as a pose, shape (6,); raises UserError when it is none."""
    home = np.asarray(given, dtype=np.float64)
    if home.shape != (len(JOINTS),) or not np.isfinite(home).all():
        raise UserError(f'parameter home: expected 6 radians, got {given}')
    return home
