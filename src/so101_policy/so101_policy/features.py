"""The robot's topics as LeRobot features, said once; the node and a conversion of bags read it.

Each camera is `observation.images.<camera>`: rgb8 of so101_description.cameras.IMAGE_SHAPE. The
six joints are `observation.state` (of joint_states) and `action` (of arm_controller/reference), in
the robot's order, named JOINT_NAMES, in dataset units. An action goes back to radians by
`so101_description.units.dataset_to_radians`.

Messages are duck-typed, so this module needs no ROS.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import Array, from_jpeg, from_message
from so101_description.cameras import IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_description.units import radians_to_dataset
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions

STATE = 'observation.state'
ACTION = 'action'

# As LeRobot's recordings of this arm name the elements of both.
JOINT_NAMES = tuple(f'{joint}.pos' for joint in JOINTS)


def image_feature(camera: str) -> str:
    return f'observation.images.{camera}'


def robot_names(policy: Iterable[str], renames: Mapping[str, str]) -> dict[str, str]:
    """Return the robot's name of each of a policy's feature names.

    `renames` is the checkpoint's, from the robot's names to the policy's own (camera1 ...); what
    it does not name keeps its name. Raises UserError when two features would become one.
    """
    originals = {theirs: ours for ours, theirs in renames.items()}
    names = {name: originals.get(name, name) for name in policy}
    if len(originals) < len(renames) or len(set(names.values())) < len(names):
        raise UserError(
            f'the rename map {dict(renames)} makes two features one; give each a name of its own'
        )
    return names


def joint_state(names: Sequence[str], positions: Sequence[float]) -> NDArray[np.float64]:
    """Return the six joints, dataset units, of a JointState's name and position (radians).

    Raises UserError as joint_positions does.
    """
    return radians_to_dataset(joint_positions(names, positions))


def pixels(message: Any, topic: str) -> Array:
    """Return the rgb8 pixels, IMAGE_SHAPE, of an Image or CompressedImage from `topic`.

    An rgb8 Image is not copied. Raises UserError for an encoding that so101_cameras.image does not
    know, a broken image, or another size: resizing would change what the policy sees.
    """
    try:
        if hasattr(message, 'encoding'):
            image = from_message(message)
        else:
            image = from_jpeg(bytes(message.data))
    except ValueError as error:
        raise UserError(f'{topic}: {error}; set the camera to rgb8 or JPEG') from error
    if image.shape != IMAGE_SHAPE:
        raise UserError(
            f'{topic}: image of shape {image.shape}, expected {IMAGE_SHAPE}; '
            'set the camera to that size'
        )
    return image
