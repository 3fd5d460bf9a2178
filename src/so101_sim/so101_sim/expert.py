"""A hand that picks up the cube and places it in the bowl, as a person would; pure.

One strategy: open above the cube, correct the aim while coming down, close, carry high, let go
over the bowl. Every demonstration differs a little: pace, heights, and where the first aim was.
Metres and radians in the arm's base frame.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from so101_description.joints import GRIPPER, JOINTS
from so101_description.kinematics import gripper_frame
from so101_sim.scene import BOWL_CENTRE, CUBE_SIZE

Pose = NDArray[np.float64]  # radians, shape (6,)

# Where the middle of a held cube is in the gripper's frame: beside the fixed jaw, which the frame's
# origin touches, in the closed hand, and with room to spare before it closes.
_HELD = -CUBE_SIZE / 2 - 0.002
_BESIDE = -CUBE_SIZE / 2 - 0.010

# The hand leans back from straight down by so much (radians): as little as possible at the table,
# where both jaws are to come down together, and at a height by what the arm's reach leaves it.
_LEAN = np.deg2rad([8.0, 28.0])
_LEAN_HEIGHTS = [0.02, 0.10]
_ROLL = np.pi / 2

_OPEN, _CLOSED = 0.5, -0.1

_GRASP_HEIGHT = 0.010
_RATE = 100.0  # knots of the way a second
# Seconds over which the corners of the way are rounded.
_ROUNDING = 0.4


class Leg(NamedTuple):
    """A straight way to a place (m), the gripper's joint at its end, and its seconds."""

    place: NDArray[np.float64]
    gripper: float
    seconds: float
    offset: float  # of the place in the gripper's frame, along its x


@dataclass(frozen=True)
class Way:
    """Poses at `1 / _RATE` s from 0 on; afterwards the last one."""

    poses: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        return (len(self.poses) - 1) / _RATE

    def pose(self, seconds: float) -> Pose:
        place = min(max(seconds * _RATE, 0.0), len(self.poses) - 1.0)
        low = min(int(place), len(self.poses) - 2)
        share = place - low
        return (1 - share) * self.poses[low] + share * self.poses[low + 1]


def demonstration(start: Pose, cube: tuple[float, float], yaw: float, seed: int) -> Way:
    """Return the way from a pose through the whole task.

    The cube lies at x, y, turned by `yaw` (rad). Its sides are what the jaws close on: of the four
    turns the one nearest to _ROLL is taken.
    """
    random = np.random.default_rng((7, seed))
    at = np.array([*cube, _GRASP_HEIGHT])
    bowl = np.array([*BOWL_CENTRE, 0.0]) + [*random.normal(0, 0.004, 2), 0.0]
    aim = random.uniform(-0.015, 0.015, 2)
    hover = random.uniform(0.06, 0.09)
    high = random.uniform(0.09, 0.12)
    pace = random.uniform(0.7, 0.95)
    roll = _roll(at, yaw, start)
    above = at + [*aim, hover]
    nearly = at + [*(0.25 * aim), 0.030]
    legs = [
        Leg(above, _OPEN, 1.4, _BESIDE),
        Leg(nearly, _OPEN, 0.6, _BESIDE),
        Leg(at, _OPEN, 0.5, _BESIDE),
        Leg(at, _OPEN, 0.2, _BESIDE),
        Leg(at, _CLOSED, 0.5, _HELD),
        Leg(at, _CLOSED, 0.35, _HELD),
        Leg(at + [0, 0, high], _CLOSED, 0.8, _HELD),
        Leg(bowl + [0, 0, high + 0.01], _CLOSED, 1.2, _HELD),
        Leg(bowl + [0, 0, 0.06], _CLOSED, 0.5, _HELD),
        Leg(bowl + [0, 0, 0.055], _CLOSED, 0.1, _HELD),
        Leg(bowl + [0, 0, 0.055], _OPEN * 0.8, 0.4, _HELD),
        Leg(bowl + [0, 0, 0.055], _OPEN * 0.8, 0.2, _HELD),
        Leg(bowl + [0, 0, 0.11], _OPEN * 0.8, 0.6, _HELD),
    ]
    return Way(_rounded(_knots(start, legs, roll, pace)))


def _roll(place: NDArray[np.float64], yaw: float, near: Pose) -> float:
    """Return the turn of the wrist at which the jaws close on two sides of the cube."""
    roll, side = _ROLL, 0.0
    for attempt in range(3):  # the way that the jaws face depends on the roll, but not quite
        jaws = gripper_frame(reach(place, _BESIDE, near, _OPEN, roll))[:2, 0]
        apart = float(np.arctan2(jaws[1], jaws[0])) - yaw
        if attempt == 0:
            side = np.round(apart / (np.pi / 2)) * np.pi / 2
        roll -= (apart - side + np.pi) % (2 * np.pi) - np.pi
    return roll


def _knots(start: Pose, legs: list[Leg], roll: float, pace: float) -> NDArray[np.float64]:
    """Return the poses along the legs, one each 1 / _RATE s."""
    poses = [start[None]]
    pose = start
    place: NDArray[np.float64] | None = None
    gripper, offset = start[GRIPPER], legs[0].offset
    for leg in legs:
        count = max(2, round(leg.seconds * pace * _RATE))
        if place is None:
            end = reach(leg.place, leg.offset, pose, leg.gripper, roll)
            share = np.linspace(0, 1, count + 1)[1:, None]
            poses.append(pose + (end - pose) * share)
        else:
            parts = np.linspace(0, 1, 9)
            via = [pose]
            for part in parts[1:]:
                via.append(
                    reach(
                        place + (leg.place - place) * part,
                        offset + (leg.offset - offset) * part,
                        via[-1],
                        gripper + (leg.gripper - gripper) * part,
                        roll,
                    )
                )
            poses.append(CubicSpline(parts, via)(np.linspace(0, 1, count + 1)[1:]))
        pose = poses[-1][-1]
        place, gripper, offset = leg.place, leg.gripper, leg.offset
    return np.vstack(poses)


def _rounded(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    width = round(_ROUNDING * _RATE) | 1
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.vstack([np.repeat(poses[:1], width, 0), poses, np.repeat(poses[-1:], width, 0)])
    return np.stack([np.convolve(c, kernel, 'valid') for c in padded.T], 1)


def reach(place: NDArray[np.float64], offset: float, near: Pose, gripper: float, roll: float) -> Pose:
    """Return the pose that has the point at `offset` in the gripper's frame at a place.

    `near` is where the search begins.
    """
    held = np.array([offset, 0.0, 0.0, 1.0])

    def error(arm: NDArray[np.float64]) -> NDArray[np.float64]:
        found = (gripper_frame(np.append(arm, gripper)) @ held)[:3]
        lean = arm[1] + arm[2] + arm[3] - np.pi / 2 + float(np.interp(place[2], _LEAN_HEIGHTS, _LEAN))
        return np.array([*(found - place), 0.1 * lean, 0.1 * (arm[4] - roll)])

    solved = least_squares(error, near[: len(JOINTS) - 1], xtol=1e-9, ftol=1e-12)
    return np.append(solved.x, gripper)
