"""An episode's actions as a motion for the arm, and whether the arm may do it; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.signal import savgol_filter

from so101_description.joints import GRIPPER, JOINTS
from so101_episodes.move import Move
from so101_episodes.powered_arm import Pose
from so101_episodes.series import Series
from so101_node.error import UserError

SLOWEST, FASTEST = 0.1, 2.0  # times as fast as recorded

_STEP = 0.02  # s between the points that are sent; the driver goes from one to the next by a cubic

# A reference says what the servos were told, in ticks of 1.5 mrad: cubics through 75 ms of it
# leave out their steps, and nothing of what an arm can do.
_RATE = 200.0  # Hz
_WINDOW = 15
_ORDER = 3

# Seconds, at both ends, in which the motion gets up to its speed: it may begin in the middle of
# one, and the arm stands.
_EASE = 0.3

# A part of the velocity, and rad. An arm at its limit seems to be faster by the ticks, and by
# stamps that are a millisecond late; and the driver lets a joint rest that far outside.
_VELOCITY_MARGIN = 0.1
_POSITION_MARGIN = np.deg2rad(2.0)


@dataclass(frozen=True)
class Replay:
    """`move`: what to send. `recorded`: of each of its points, seconds since the first action.

    The arm stands at move.positions[0] when it begins.
    """

    move: Move
    recorded: NDArray[np.float64]


def replay(actions: Series, speed: float) -> Replay:
    """Return the motion of actions (radians), so many times as fast; at least two are needed."""
    seconds = (actions.times - actions.times[0]) * 1e-9
    smooth = _smooth(seconds, actions.values)
    duration = seconds[-1] / speed
    ease = min(_EASE, duration)
    total = duration + ease
    times = np.append(np.arange(0.0, total - _STEP / 2, _STEP), total)
    # The second half is the first one backwards.
    done, rate = _eased(np.minimum(times, total - times), ease)
    recorded = speed * np.where(times < total / 2, done, duration - done)
    velocities = smooth(recorded, 1) * (speed * rate)[:, None]
    return Replay(Move(times, smooth(recorded), velocities), recorded)


def check_gaps(actions: Series, max_gap: float) -> None:
    """Raise UserError when longer than `max_gap` seconds nothing is known of what was done."""
    gaps = np.diff(actions.times) * 1e-9
    if gaps.max() > max_gap:
        index = int(np.argmax(gaps))
        began = (actions.times[index] - actions.times[0]) * 1e-9
        raise UserError(
            f'there is no action for {gaps[index]:.2f} s from {began:.2f} s on, {max_gap:g} s are '
            'allowed (max_gap): what was done there is not in the bag; replay another episode, or '
            'allow it, and the arm takes the straight way'
        )


def check_velocity(motion: Replay, speed: float, max_velocity: float) -> None:
    """Raise UserError when a joint would be faster than `max_velocity`, rad/s."""
    pace = np.abs(motion.move.velocities)
    fastest = float(pace.max())
    if fastest > max_velocity * (1 + _VELOCITY_MARGIN):
        point, joint = np.unravel_index(np.argmax(pace), pace.shape)
        possible = np.floor(100 * speed * max_velocity / fastest) / 100
        cure = (
            f'give speed {possible:g} or less'
            if possible >= SLOWEST
            else 'it is too fast for any speed: that is no motion of an arm'
        )
        raise UserError(
            f'{JOINTS[joint]} would move at {fastest:.2f} rad/s at {motion.recorded[point]:.2f} s '
            f'of the episode, {max_velocity:g} are allowed (max_velocity): {cure}'
        )


def check_positions(actions: Series, lower: Pose, upper: Pose) -> None:
    """Raise UserError when an action is outside the arm's limits, radians."""
    outside = np.maximum(lower - actions.values, actions.values - upper)
    if outside.max() > _POSITION_MARGIN:
        action, joint = np.unravel_index(np.argmax(outside), outside.shape)
        raise UserError(
            f'{JOINTS[joint]} is at {actions.values[action, joint]:.3f} rad at '
            f'{(actions.times[action] - actions.times[0]) * 1e-9:.2f} s, outside the limits of '
            f'this arm, {lower[joint]:.3f} to {upper[joint]:.3f}: it was recorded with another '
            'arm or calibration; replay it on that arm, or calibrate this one again'
        )


@dataclass(frozen=True)
class Following:
    """How far the measured joints were from where they were sent, radians.

    `rms` and `largest` (6,); of all but the gripper, which may hold something, the joint that
    was off most, and when (s).
    """

    rms: Pose
    largest: Pose
    worst: int
    when: float


def following(motion: Replay, measured: Series, start: int) -> Following | None:
    """Compare measured joint states, radians, with a motion that began at `start`, nanoseconds.

    None when nothing was measured meanwhile.
    """
    times = (measured.times - start) * 1e-9
    within = (times >= 0) & (times <= motion.move.duration)
    if not within.any():
        return None
    off = np.abs(measured.values[within] - motion.move.at(times[within]))
    arm = np.delete(off, GRIPPER, axis=1)
    sample, worst = np.unravel_index(np.argmax(arm), arm.shape)
    return Following(
        rms=np.sqrt((off**2).mean(axis=0)),
        largest=off.max(axis=0),
        worst=int(worst),
        when=float(times[within][sample]),
    )


def _smooth(seconds: NDArray[np.float64], positions: NDArray[np.float64]) -> CubicHermiteSpline:
    """Return positions as a smooth function of the seconds since the first one."""
    count = max(round(seconds[-1] * _RATE), _WINDOW) + 1
    grid, step = np.linspace(0.0, seconds[-1], count, retstep=True)
    lines = np.stack([np.interp(grid, seconds, column) for column in positions.T], axis=1)
    values, slopes = (
        savgol_filter(lines, _WINDOW, _ORDER, deriv=deriv, delta=float(step), axis=0)
        for deriv in (0, 1)
    )
    return CubicHermiteSpline(grid, values, slopes)


def _eased(
    times: NDArray[np.float64], ease: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much is done of a motion that begins slowly, and its pace: 0, from `ease` on 1.

    The pace is 3 u^2 - 2 u^3, with u from 0 to 1.
    """
    u = np.minimum(times / ease, 1.0)
    return ease * (u**3 - u**4 / 2) + np.maximum(times - ease, 0.0), u * u * (3 - 2 * u)
