"""The images and the joint state of one capture time, joined into one observation.

Cameras run unsynchronised, 30 frames a second each. The camera whose newest frame is oldest is the
anchor; of every other camera the frame nearest to the anchor's is taken, at most half a frame
period away. The observation's time is the middle between its oldest and its newest image, so no
image is further from it than half of their spread, and the joint state is interpolated to it.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import Array
from so101_description.units import dataset_to_radians
from so101_node.error import UserError
from so101_policy.features import joint_state, pixels

# Kept of each camera, a quarter of a second: by so much may one be delivered later than another.
_IMAGES = 8
# Kept of the joint states, a second at 200 Hz: by so much may images be delivered later.
_JOINTS = 200


@dataclass(frozen=True)
class Observation:
    """What the policy sees, all of the one time `captured`, nanoseconds."""

    images: Mapping[str, Array]  # camera -> rgb8 of IMAGE_SHAPE
    state: NDArray[np.float64]  # (6,), dataset units
    captured: int


class Entry(NamedTuple):
    """A message and its stamp, nanoseconds."""

    stamp: int
    message: Any


@dataclass(frozen=True)
class Choice:
    """Which messages make an observation of the time `captured`, nanoseconds.

    `images`: of each camera. `joints`: the joint states before and after that time; twice the same
    one where there is one on it, or none on one side.
    """

    captured: int
    images: Mapping[str, Entry]
    joints: tuple[Entry, Entry]

    @property
    def interpolated(self) -> bool:
        """Whether the state is between two joint states."""
        return self.joints[0].stamp != self.joints[1].stamp

    def state(
        self, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the state, (6,), of what its two joint states hold in dataset units."""
        if not self.interpolated:
            return before
        first, last = (entry.stamp for entry in self.joints)
        share = (self.captured - first) / (last - first)
        return (1 - share) * before + share * after


class Latest:
    """The last messages of each camera and of the joint states. Stamps are nanoseconds.

    Adding does next to nothing, since few of the messages become an observation: they are kept as
    they came, and validated and converted only when an observation is made of them.
    """

    def __init__(self, cameras: Mapping[str, str], max_age: float, max_skew: float) -> None:
        """`cameras`: camera -> topic; limits are seconds.

        No image and no joint state older than `max_age` is used, nor images that were captured
        further apart than `max_skew`, nor a joint state further than that from the observation's
        time.
        """
        self._topics = cameras
        self._max_age = max_age
        self._max_skew = max_skew
        self._images = {camera: _History(_IMAGES, max_age) for camera in cameras}
        self._joints = _History(_JOINTS, max_age)
        self._sound = False  # whether the messages of the last observation could be read

    def add_image(self, camera: str, captured: int, message: Any) -> None:
        """Take an Image or a CompressedImage."""
        self._images[camera].add(captured, message)

    def add_joints(self, measured: int, message: Any) -> None:
        """Take a JointState, positions in radians."""
        self._joints.add(measured, message)

    def missing(self) -> list[str]:
        """Name what has never arrived, with its topic."""
        missing = [f'{c} camera ({self._topics[c]})' for c, h in self._images.items() if not h]
        return missing if self._joints else [*missing, 'joint states (joint_states)']

    def captured(self) -> int | None:
        """Return the time that an observation made now would have; None if it could have none."""
        try:
            return self._time(self._chosen())
        except UserError:
            return None

    def pose(self) -> NDArray[np.float64] | None:
        """Return the newest joint positions, (6,), radians; None if there are none to be read."""
        if not self._joints:
            return None
        newest = self._joints.around(self._joints.newest)[0].message
        try:
            return dataset_to_radians(joint_state(newest.name, newest.position))
        except UserError:
            return None

    def complaint(self, now: int) -> str | None:
        """Say why there is no observation at `now`; None: there is one.

        Cheap enough for a watchdog: looks at stamps only, unless what the messages held was
        refused when an observation was last made.
        """
        try:
            if self._sound:
                self.choose(now)
            else:
                self.observation(now)
        except UserError as error:
            return str(error)
        return None

    def observation(self, now: int) -> Observation:
        """Join what was captured last, as seen at time `now`.

        Raises UserError when something never arrived, is older or further apart than the limits,
        or is not what the robot should give.
        """
        choice = self.choose(now)
        self._sound = False
        images = {c: pixels(entry.message, self._topics[c]) for c, entry in choice.images.items()}
        before, after = (
            joint_state(entry.message.name, entry.message.position) for entry in choice.joints
        )
        self._sound = True
        return Observation(images, choice.state(before, after), choice.captured)

    def choose(self, now: int) -> Choice:
        """Return which messages make an observation at `now`; looks at stamps only.

        Raises UserError when something never arrived, or is older or further apart than the
        limits.
        """
        chosen = self._chosen()
        for camera, entry in chosen.items():
            self._check_age(f'{camera} image', now - entry.stamp)
        self._check_age('joint state', now - self._joints.newest)
        captured = self._time(chosen)
        return Choice(captured, chosen, self._joints.around(captured))

    def _chosen(self) -> dict[str, Entry]:
        if missing := self.missing():
            raise UserError(f'nothing received from {" and ".join(missing)}; is it running?')
        anchor = min(history.newest for history in self._images.values())
        return {camera: history.nearest(anchor) for camera, history in self._images.items()}

    def _time(self, chosen: Mapping[str, Entry]) -> int:
        """Return the time of an observation of these images; UserError if they do not fit."""
        oldest = min(chosen, key=lambda camera: chosen[camera].stamp)
        newest = max(chosen, key=lambda camera: chosen[camera].stamp)
        skew = chosen[newest].stamp - chosen[oldest].stamp
        if skew * 1e-9 > self._max_skew:
            raise UserError(
                f'the {oldest} image is {skew * 1e-9:.3f} s older than the {newest} image, the '
                f'limit is {self._max_skew:g} s; check the rate of the {oldest} camera'
            )
        captured = chosen[oldest].stamp + skew // 2
        away = abs(self._joints.nearest(captured).stamp - captured)
        if away * 1e-9 > self._max_skew:
            raise UserError(
                f'the joint state nearest to the images is {away * 1e-9:.3f} s away, the limit '
                f'is {self._max_skew:g} s; check the rate of joint_states'
            )
        return captured

    def _check_age(self, name: str, age: int) -> None:
        # A stamp in the future is as wrong: another host's clock, or no capture time at all.
        if abs(age) * 1e-9 > self._max_age:
            raise UserError(
                f'the {name} is {age * 1e-9:.2f} s old, the limit is {self._max_age:g} s; '
                'check its node, and the clocks when it runs on another machine'
            )


class _History:
    """The last messages of one source, their stamps strictly rising."""

    def __init__(self, length: int, max_age: float) -> None:
        self._entries: deque[Entry] = deque(maxlen=length)
        self._max_back = max_age * 1e9

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def newest(self) -> int:
        return self._entries[-1].stamp

    def add(self, stamp: int, message: Any) -> None:
        """Keep it, unless it repeats a stamp or was overtaken by a newer one on its way.

        Stamps that go back further than anything is used are another clock's, or the newest was
        from the future: what came before is forgotten.
        """
        if self._entries:
            back = self.newest - stamp
            if back > self._max_back:
                self._entries.clear()
            elif back >= 0:
                return
        self._entries.append(Entry(stamp, message))

    def nearest(self, stamp: int) -> Entry:
        before, after = self.around(stamp)
        return before if stamp - before.stamp <= after.stamp - stamp else after

    def around(self, stamp: int) -> tuple[Entry, Entry]:
        """Return the entries before and after; twice the same one on it, or beyond either end."""
        after = bisect_left(self._entries, stamp, key=lambda entry: entry.stamp)
        if after == len(self._entries):
            return self._entries[-1], self._entries[-1]
        if after == 0 or self._entries[after].stamp == stamp:
            return self._entries[after], self._entries[after]
        return self._entries[after - 1], self._entries[after]
