"""How to pick up the cube and place it in the bowl, as a person would; pure.

One strategy: open above the cube, correct the aim and turn the hand while coming down, close,
carry high, let go over the bowl. Every demonstration differs a little: in its pace, its heights,
and how the hand first came over the cube. Metres and radians, in the arm's base frame.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.kinematics import gripper_frame
from so101_node.error import UserError
from so101_sim.hand import FASTEST_OF_MEAN, Pose, smooth
from so101_sim.scene import BOWL_CENTRE, CUBE_SIZE

Floats = NDArray[np.float64]
Point = Floats  # metres, shape (3,)

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

# The wrist's turn at home. About so turned the hand comes over the cube; only there, where the
# wrist camera sees how the cube lies, it turns on, an eighth of a turn at most, to face two of its
# sides. Hands that were turned from the start had shown a policy to keep its turn, wrong or not.
_ROLL = np.pi / 2

# The gripper's joint: wide enough for a cube that is 2 cm off, closed on nothing, and let go.
_OPEN, _CLOSED, _LET_GO = 0.5, -0.1, 0.4

_GRASP_HEIGHT = 0.010  # of the jaws' tips: below the cube's middle, clear of the table

# Of the cube above the bowl's middle, whose rim is at 0.035: low enough not to bounce out.
_DROP_HEIGHT = 0.055

_STRAIGHT_SPEED = 2.0  # rad/s at the fastest, of the joint with the longest way

_ROUNDING = 0.4  # seconds over which the corners of a way are rounded

_PARTS = 8  # of a straight leg, at whose ends the pose is exact; cubic splines lie between them

# Of the search for poses: pan, lift and elbow over the square from which it begins, and after how
# many steps, of how many radians at most, it has reached a place to within so much, or never will.
_FIRST_GUESS = (0.0, 0.1, 0.3)
_STEPS, _LONGEST_STEP = 20, 0.5
_REACHED = 1e-6


class Leg(NamedTuple):
    """A straight way: where the cube's middle is to be in the hand at its end, and how.

    `roll`: the wrist's turn. `gripper`: its joint's angle. `seconds`: at a pace of 1. `offset`: of
    the cube's middle along the gripper frame's x.
    """

    place: Point
    roll: float
    gripper: float
    seconds: float
    offset: float


@dataclass(frozen=True)
class Way:
    """Where the joints are to be, from 0 on: radians, shape (n, 6), one pose each STEP seconds."""

    poses: Floats

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
    its sides, those that the wrist has to turn least for once it is there. Raises UserError when
    it is out of reach.
    """
    random = np.random.default_rng((7, seed))
    at = np.array([*cube, _GRASP_HEIGHT])
    bowl = np.array([*(BOWL_CENTRE + random.normal(0, 0.004, 2)), 0.0])
    aim = np.array([*random.uniform(-0.010, 0.010, 2), 0.0])
    hover = random.uniform(0.065, 0.08)
    high = random.uniform(0.095, 0.11)
    pace = random.uniform(0.76, 0.86)
    above = _ROLL + random.uniform(-0.25, 0.25)

    drop = bowl + _DROP_HEIGHT * _UP
    try:
        facing = _facing(at, yaw, above)
        nearly = facing + 0.25 * (above - facing)
        legs = [
            Leg(at + aim + hover * _UP, above, _OPEN, 1.4, _BESIDE),
            Leg(at + 0.25 * aim + 0.03 * _UP, nearly, _OPEN, 0.8, _BESIDE),
            Leg(at, facing, _OPEN, 0.5, _BESIDE),
            Leg(at, facing, _OPEN, 0.2, _BESIDE),
            Leg(at, facing, _CLOSED, 0.5, _HELD),
            Leg(at, facing, _CLOSED, 0.35, _HELD),
            Leg(at + high * _UP, facing, _CLOSED, 0.8, _HELD),
            Leg(bowl + (high + 0.01) * _UP, facing, _CLOSED, 1.2, _HELD),
            Leg(drop + 0.005 * _UP, facing, _CLOSED, 0.5, _HELD),
            Leg(drop, facing, _CLOSED, 0.1, _HELD),
            Leg(drop, facing, _LET_GO, 0.4, _HELD),
            Leg(drop, facing, _LET_GO, 0.2, _HELD),
            Leg(drop + 0.055 * _UP, facing, _LET_GO, 0.6, _HELD),
        ]
        return Way(_rounded(_along(start, legs, pace)))
    except UserError as error:
        x, y = cube
        raise UserError(f'no way to a cube at x {x:.3f}, y {y:.3f} m: {error}') from None


def straight(start: Pose, goal: Pose) -> Way:
    """Return a way that shows nothing: all joints together, as a hand moves."""
    seconds = FASTEST_OF_MEAN * float(np.abs(goal - start).max()) / _STRAIGHT_SPEED
    parts = np.arange(1 + max(1, round(seconds / STEP)), dtype=np.float64)
    return Way(start + smooth(parts / parts[-1])[:, None] * (goal - start))


def reaction(seed: int) -> float:
    """Return the seconds that a person takes to begin, once told to: 0.1 to 0.25."""
    return float(np.random.default_rng((8, seed)).uniform(0.1, 0.25))


def _facing(place: Point, yaw: float, roll: float) -> float:
    """Return the turn, next to `roll`, with which the jaws close on two sides of the cube."""
    side = 0.0  # which one, as a turn from yaw
    for attempt in range(3):  # the way that the jaws face depends on the roll, but not quite
        pose = _reach(place[None], np.array([_BESIDE]), np.array([roll]))[0]
        jaws = gripper_frame(np.append(pose, 0.0))[:2, 0]
        apart = float(np.arctan2(jaws[1], jaws[0])) - yaw
        if attempt == 0:
            side = np.round(apart / (np.pi / 2)) * np.pi / 2
        roll -= (apart - side + np.pi) % (2 * np.pi) - np.pi
    return roll


def _along(start: Pose, legs: list[Leg], pace: float) -> Floats:
    """Return the poses along the legs, shape (n, 6), one each STEP: with corners between them.

    The first leg is straight for the joints, the others are for the cube's middle in the hand.
    """
    parts = np.linspace(0, 1, _PARTS + 1)
    ends = np.array([[*leg.place, leg.roll, leg.offset, leg.gripper] for leg in legs])
    on_legs = ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * parts[:, None]
    *place, roll, offset, gripper = np.moveaxis(on_legs, -1, 0)
    arm = _reach(np.stack(place, -1).reshape(-1, 3), offset.ravel(), roll.ravel())
    poses = np.concatenate([arm.reshape(*gripper.shape, GRIPPER), gripper[..., None]], -1)

    counts = [max(2, round(leg.seconds * pace / STEP)) for leg in legs]
    shares = [np.arange(1, count + 1) / count for count in counts]
    first = start + (poses[0, 0] - start) * shares[0][:, None]
    others = [CubicSpline(parts, leg)(share) for leg, share in zip(poses, shares[1:], strict=True)]
    return np.vstack([start[None], first, *others])


def _rounded(poses: Floats) -> Floats:
    """Return the way smoothed by a bell of _ROUNDING seconds, by which it becomes longer."""
    width = round(_ROUNDING / STEP) | 1
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.vstack([np.repeat(poses[:1], width, 0), poses, np.repeat(poses[-1:], width, 0)])
    return np.stack([np.convolve(joint, kernel, 'valid') for joint in padded.T], 1)


def _reach(places: Floats, offsets: Floats, rolls: Floats) -> Floats:
    """Return the arm's joints, shape (n, 5), with points of the hand at places of shape (n, 3).

    The points are at `offsets`, (n,), along the gripper frame's x. The lean gives the wrist's
    flexion and `rolls`, (n,), its turn; pan, lift and elbow are found by Newton's method, for all
    places at once. Raises UserError when one is out of reach.
    """
    flexed = np.pi / 2 - np.interp(places[:, 2], _LEAN_HEIGHTS, _LEAN)

    def pose(found: Floats) -> Floats:
        wrist = flexed - found[..., 1] - found[..., 2]
        rest = [wrist, np.broadcast_to(rolls, wrist.shape), np.zeros_like(wrist)]
        return np.concatenate([found, np.stack(rest, -1)], -1)

    def off(found: Floats) -> Floats:
        frames = gripper_frame(pose(found))
        return frames[..., :3, 3] + offsets[:, None] * frames[..., :3, 0] - places

    found = np.tile(_FIRST_GUESS, (len(places), 1))
    tiny = 1e-6 * np.eye(3)
    for _ in range(_STEPS):
        here = off(found)
        slopes = np.moveaxis((off(found + tiny[:, None]) - here) / 1e-6, 0, -1)
        # Damped a little: at the end of its reach the arm has no way outwards.
        squares = slopes.mT @ slopes + 1e-9 * np.eye(3)
        step = np.linalg.solve(squares, slopes.mT @ here[..., None])[..., 0]
        found = found - np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step).max() < _REACHED:
            break
    if not (np.abs(off(found)) < _REACHED).all():
        raise UserError('it is out of reach')
    arm = pose(found)[:, :GRIPPER]
    lower, upper = np.array([URDF_LIMITS[joint] for joint in JOINTS[:GRIPPER]]).T
    beyond = np.maximum(lower - arm, arm - upper).max(axis=0)
    worst = int(beyond.argmax())
    if beyond[worst] > 0:
        raise UserError(f'{JOINTS[worst]} would have to go {beyond[worst]:.2f} rad too far')
    return arm
