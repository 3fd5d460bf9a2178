"""The robot's topics as LeRobot features, said once.

Each camera is `observation.images.<camera>`; the six joints, in dataset units (see
so101_description.units), are `observation.state` and `action`, named `<joint>.pos`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_description.units import radians_to_dataset
from so101_node.error import UserError

STATE = 'observation.state'
ACTION = 'action'


def image_feature(camera: str) -> str:
    return f'observation.images.{camera}'


def joint_state(names: Sequence[str], positions: Iterable[float]) -> NDArray[np.float64]:
    """Return `observation.state`, shape (6,), dataset units, of a JointState's name and position.

    The joints may come in any order, among others. Positions are radians. Raises UserError for a
    joint that is missing or whose position is not finite.
    """
    found = dict(zip(names, positions, strict=False))
    missing = [joint for joint in JOINTS if joint not in found]
    if missing:
        raise UserError(
            f'joint_states lacks {", ".join(missing)}; it has {", ".join(found) or "no joint"}'
        )
    radians = np.array([found[joint] for joint in JOINTS], dtype=float)
    if not np.isfinite(radians).all():
        raise UserError(f'joint_states holds a position that is not finite: {radians.tolist()}')
    return radians_to_dataset(radians)
