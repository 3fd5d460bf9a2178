"""How to pick up the cube and place it in the bowl, as a person would; pure.

One strategy: open above the cube, correct the aim while coming down, close, carry high, let go
over the bowl. Every demonstration differs a little: in its pace, its heights, and where the first
aim was. Metres and radians, in the arm's base frame.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.kinematics import gripper_frame
from so101_node.error import UserError
from so101_sim.hand import Pose
from so101_sim.scene import BOWL_CENTRE, CUBE_SIZE

Point = NDArray[np.float64]  # metres, shape (3,)

_UP = np.array([0.0, 0.0, 1.0])

STEP = 0.01  # seconds from pose to pose of a way

# Where the middle of the cube is along the gripper frame's x, whose origin the fixed jaw touches:
# in the closed hand, and with room to spare before it closes.
_HELD = -CUBE_SIZE / 2 - 0.002
_BESIDE = -CUBE_SIZE / 2 - 0.010

# The hand leans back from straight down by so much: as little as possible at the table, where both
# jaws are to come down together, and at a height by what the arm's reach leaves it.
_LEAN = np.deg2rad([8.0, 28.0])
_LEAN_HEIGHTS = [0.02, 0.10]

# The wrist's turn at home, from which it goes an eighth of a turn at most to face a cube's sides.
_ROLL = np.pi / 2

# The gripper's joint: wide enough for a cube that is 2 cm off, closed on nothing, and let go.
_OPEN, _CLOSED, _LET_GO = 0.5, -0.1, 0.4

_GRASP_HEIGHT = 0.010  # of the jaws' tips: below the cube's middle, clear of the table

# Of the cube above the bowl's middle, whose rim is at 0.035: low enough not to bounce out.
_DROP_HEIGHT = 0.055

_ROUNDING = 0.4  # seconds over which the corners of a way are rounded

# Of the arm's search for a pose: a lean or a roll that is off by 1 rad counts as 10 cm.
_METRES_PER_RADIAN = 0.1
_REACHED = 0.002  # off by more, a place is out of reach
_PARTS = 8  # of a straight way, from pose to pose; a cubic spline lies between them


class Leg(NamedTuple):
    """A straight way: where the cube's middle is to be in the hand at its end, and how.

    `gripper`: its joint's angle. `seconds`: at a pace of 1. `offset`: of the cube's middle along
    the gripper frame's x.
    """

    place: Point
    gripper: float
    seconds: float
    offset: float


@dataclass(frozen=True)
class Way:
    """Where the joints are to be, from 0 on: radians, shape (n, 6), one pose each STEP seconds."""

    poses: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        return (len(self.poses) - 1) * STEP

    def pose(self, seconds: float) -> Pose:
        """Return that at a time: before it begins the first one, after its end the last one."""
        index = min(max(seconds / STEP, 0.0), len(self.poses) - 1.0)
        before = int(index)
        after = min(before + 1, len(self.poses) - 1)
        share = index - before
        return (1 - share) * self.poses[before] + share * self.poses[after]


def demonstration(start: Pose, cube: tuple[float, float], yaw: float, seed: int) -> Way:
    """Return the way from a pose through the whole task, at rest at both ends.

    The cube lies at x, y (m), turned by `yaw` (rad) about the vertical. The jaws close on two of
    its sides, those that the wrist has to turn least for. Raises UserError when it is out of
    reach.
    """
    random = np.random.default_rng((7, seed))
    at = np.array([*cube, _GRASP_HEIGHT])
    bowl = np.array([*(BOWL_CENTRE + random.normal(0, 0.004, 2)), 0.0])
    aim = np.array([*random.uniform(-0.015, 0.015, 2), 0.0])
    hover = random.uniform(0.06, 0.09)
    high = random.uniform(0.09, 0.12)
    pace = random.uniform(0.7, 0.95)

    drop = bowl + _DROP_HEIGHT * _UP
    legs = [
        Leg(at + aim + hover * _UP, _OPEN, 1.4, _BESIDE),
        Leg(at + 0.25 * aim + 0.03 * _UP, _OPEN, 0.6, _BESIDE),
        Leg(at, _OPEN, 0.5, _BESIDE),
        Leg(at, _OPEN, 0.2, _BESIDE),
        Leg(at, _CLOSED, 0.5, _HELD),
        Leg(at, _CLOSED, 0.35, _HELD),
        Leg(at + high * _UP, _CLOSED, 0.8, _HELD),
        Leg(bowl + (high + 0.01) * _UP, _CLOSED, 1.2, _HELD),
        Leg(drop + 0.005 * _UP, _CLOSED, 0.5, _HELD),
        Leg(drop, _CLOSED, 0.1, _HELD),
        Leg(drop, _LET_GO, 0.4, _HELD),
        Leg(drop, _LET_GO, 0.2, _HELD),
        Leg(drop + 0.055 * _UP, _LET_GO, 0.6, _HELD),
    ]
    try:
        roll = _facing(at, yaw, start)
        return Way(_rounded(_along(start, legs, roll, pace)))
    except UserError as error:
        x, y = cube
        raise UserError(f'no way to a cube at x {x:.3f}, y {y:.3f} m: {error}') from None


def reaction(seed: int) -> float:
    """Return the seconds that a person takes to begin, once told to: 0.2 to 0.5."""
    return float(np.random.default_rng((8, seed)).uniform(0.2, 0.5))


def _facing(place: Point, yaw: float, near: Pose) -> float:
    """Return the wrist's turn with which the jaws close on two sides of the cube."""
    roll = _ROLL
    side = 0.0  # which one, as a turn from yaw
    for attempt in range(3):  # the way that the jaws face depends on the roll, but not quite
        jaws = gripper_frame(_reach(place, _BESIDE, near, _OPEN, roll))[:2, 0]
        apart = float(np.arctan2(jaws[1], jaws[0])) - yaw
        if attempt == 0:
            side = np.round(apart / (np.pi / 2)) * np.pi / 2
        roll -= (apart - side + np.pi) % (2 * np.pi) - np.pi
    return roll


def _along(start: Pose, legs: list[Leg], roll: float, pace: float) -> NDArray[np.float64]:
    """Return the poses along the legs, shape (n, 6), one each STEP: with corners between them.

    The first leg is straight for the joints, the others are for the cube's middle in the hand.
    """
    poses = [start[None]]
    before: Leg | None = None
    for leg in legs:
        pose = poses[-1][-1]
        count = max(2, round(leg.seconds * pace / STEP))
        shares = np.linspace(0, 1, count + 1)[1:]
        if before is None:
            end = _reach(leg.place, leg.offset, pose, leg.gripper, roll)
            poses.append(pose + (end - pose) * shares[:, None])
        else:
            parts = np.linspace(0, 1, _PARTS + 1)
            via = [pose]
            for part in parts[1:]:
                via.append(
                    _reach(
                        before.place + (leg.place - before.place) * part,
                        before.offset + (leg.offset - before.offset) * part,
                        via[-1],
                        before.gripper + (leg.gripper - before.gripper) * part,
                        roll,
                    )
                )
            poses.append(CubicSpline(parts, via)(shares))
        before = leg
    return np.vstack(poses)


def _rounded(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the way smoothed by a bell of _ROUNDING seconds, by which it becomes longer."""
    width = round(_ROUNDING / STEP) | 1
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.vstack([np.repeat(poses[:1], width, 0), poses, np.repeat(poses[-1:], width, 0)])
    return np.stack([np.convolve(joint, kernel, 'valid') for joint in padded.T], 1)


def _reach(place: Point, offset: float, near: Pose, gripper: float, roll: float) -> Pose:
    """Return the pose that has the point at `offset` along the gripper frame's x at a place.

    `near` is where the search begins. Raises UserError when there is none.
    """
    held = np.array([offset, 0.0, 0.0, 1.0])
    lean = float(np.interp(place[2], _LEAN_HEIGHTS, _LEAN))

    def error(arm: NDArray[np.float64]) -> NDArray[np.float64]:
        found = (gripper_frame(np.append(arm, gripper)) @ held)[:3]
        _, lift, elbow, wrist, turn = arm
        leaning = lift + elbow + wrist - np.pi / 2 + lean
        return np.array(
            [*(found - place), _METRES_PER_RADIAN * leaning, _METRES_PER_RADIAN * (turn - roll)]
        )

    solved = least_squares(error, near[:GRIPPER], xtol=1e-9, ftol=1e-12)
    off = float(np.linalg.norm(solved.fun[:3]))
    if off > _REACHED:
        raise UserError(f'the hand stays {1e3 * off:.0f} mm away')
    for joint, angle in zip(JOINTS, solved.x, strict=False):
        low, high = URDF_LIMITS[joint]
        if not low <= angle <= high:
            raise UserError(f'{joint} would have to be at {angle:.2f} rad, beyond its limits')
    return np.append(solved.x, gripper)
