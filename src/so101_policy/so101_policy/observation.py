"""The latest images and joint state, joined into one observation when they are fresh."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import Array, from_message
from so101_description.cameras import IMAGE_SHAPE
from so101_node.error import UserError
from so101_policy.features import joint_state


@dataclass(frozen=True)
class Observation:
    """What the policy sees: `captured` is the stamp of the newest image, nanoseconds."""

    images: Mapping[str, Array]  # camera -> rgb8 of IMAGE_SHAPE
    state: NDArray[np.float64]  # (6,), dataset units
    captured: int


class Latest:
    """The last message of each camera and of the joint states. Stamps are nanoseconds.

    Messages are kept as they came and converted only when an observation is made of them.
    """

    def __init__(self, cameras: Mapping[str, str], max_age: float) -> None:
        """`cameras`: camera -> topic; nothing older than `max_age` seconds is used."""
        self._cameras = cameras
        self._max_age = max_age
        self._images: dict[str, tuple[int, Any]] = {}
        self._joints: tuple[int, Sequence[str], Iterable[float]] | None = None

    def add_image(self, camera: str, captured: int, message: Any) -> None:
        self._images[camera] = captured, message

    def add_joints(self, measured: int, names: Sequence[str], positions: Iterable[float]) -> None:
        """Take a joint state; positions in radians."""
        self._joints = measured, names, positions

    def captured(self) -> int | None:
        """Return the stamp of the older camera's latest image, None until every camera has one."""
        if len(self._images) < len(self._cameras):
            return None
        return min(stamp for stamp, _ in self._images.values())

    def missing(self) -> list[str]:
        """Name what has never arrived, with its topic."""
        missing = [f'{c} camera ({t})' for c, t in self._cameras.items() if c not in self._images]
        return missing if self._joints else [*missing, 'joint states (joint_states)']

    def observation(self, now: int) -> Observation:
        """Join the latest of everything at time `now`.

        Raises UserError when something never arrived, is older than the limit, or is not what the
        robot should give.
        """
        missing = self.missing()
        if missing or self._joints is None:
            raise UserError(f'nothing received from {" and ".join(missing)}; is it running?')
        measured, names, positions = self._joints
        self._check_age('joint state', now - measured)
        images = {}
        for camera in self._cameras:
            captured, message = self._images[camera]
            self._check_age(f'{camera} image', now - captured)
            try:
                images[camera] = from_message(message)
            except ValueError as error:
                raise UserError(f'{self._cameras[camera]}: {error}') from error
            if images[camera].shape != IMAGE_SHAPE:
                raise UserError(
                    f'{self._cameras[camera]}: image of shape {images[camera].shape}, '
                    f'expected {IMAGE_SHAPE}; set the camera to that size'
                )
        newest = max(stamp for stamp, _ in self._images.values())
        return Observation(images, joint_state(names, positions), newest)

    def _check_age(self, name: str, age: int) -> None:
        # A stamp in the future is as wrong: another host's clock, or no capture time at all.
        if abs(age) * 1e-9 > self._max_age:
            raise UserError(
                f'the {name} is {age * 1e-9:.2f} s old, the limit is {self._max_age:g} s; '
                'check its node, and the clocks when it runs on another machine'
            )
