"""A scripted pick and place: what the joints are told and do, and where the cube is; pure.

For tests and benches that must know what a recording holds. The motion is smooth and different
each time; the servo follows its command as a first-order lag; the encoder has steps.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, HOME
from so101_description.units import radians_to_dataset

Floats = NDArray[np.float64]

RATE = 30.0
SIDE = 22.0  # percent of its range at which the gripper stands that holds the cube

_STEP = 360.0 / 4096  # degrees of an encoder step
_HOME = radians_to_dataset(HOME)


@dataclass(frozen=True)
class Plan:
    """What is to happen. Times in seconds.

    `speed`: 1 takes about seven seconds. `grasped` False: the gripper closes on nothing.
    `pause`: (after which of the seven phases, for how long). `lag`: of the servos. `pan`: degrees,
    where the cube lies. `squeeze`: percent that the gripper is told to close beyond the cube.
    """

    speed: float = 1.0
    grasped: bool = True
    pause: tuple[int, float] = (0, 0.0)
    lag: float = 0.09
    pan: float = 20.0
    reach: float = 0.0
    squeeze: float = 12.0
    opening: float = 60.0
    rests: tuple[float, float] = (0.4, 0.4)

    @classmethod
    def drawn(cls, random: np.random.Generator) -> 'Plan':
        """Return a plan as a person would vary it, with hesitations and slow ones among them."""
        pause = (int(random.integers(1, 7)), float(random.uniform(0.5, 1.3)))
        return cls(
            speed=float(random.uniform(0.8, 1.25)),
            pause=pause if random.random() < 0.3 else (0, 0.0),
            lag=float(random.normal(0.09, 0.006)),
            pan=float(random.uniform(8, 35)),
            reach=float(random.uniform(-8, 8)),
            squeeze=float(random.uniform(7, 18)),
            opening=float(random.uniform(52, 68)),
            rests=(float(random.uniform(0.1, 0.9)), float(random.uniform(0.1, 0.9))),
        )

    def but(self, **changes: object) -> 'Plan':
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Motion:
    """`action`, `state`: (n, 6) float32, dataset units, at `seconds` (n,).

    `held`: (n,) whether the gripper has the cube; `dropped`: (n,) whether it lies in the bowl.
    """

    seconds: Floats
    action: NDArray[np.float32]
    state: NDArray[np.float32]
    held: NDArray[np.bool_]
    dropped: NDArray[np.bool_]
    plan: Plan


def moved(plan: Plan, random: np.random.Generator, rate: float = RATE) -> Motion:
    """Return the motion of a plan; `random` draws the noise of hand and encoder."""
    opened, shut = plan.opening, 3.0
    closed = SIDE - plan.squeeze if plan.grasped else float(random.uniform(2, 6))
    above = np.array([plan.pan, -35 + plan.reach, 45.0, 60.0, 90.0, opened])
    at = np.array([plan.pan, 5 + plan.reach, 38.0, 40.0, 88.0, opened])
    gripping = np.append(at[:5], closed)
    lifted = np.append(above[:5] + np.array([0, -6, 2, 0, 0]), closed)
    bowl = np.array([-32.0 + 0.2 * plan.pan, -20.0, 40.0, 55.0, 92.0, closed])
    released = np.append(bowl[:5], opened)
    home = np.append(_HOME[:5], shut)
    start = _HOME.copy()
    ways = [(above, 1.5), (at, 0.9), (gripping, 0.6), (lifted, 0.9), (bowl, 1.3), (released, 0.5),
            (home, 1.6)]  # fmt: skip
    points, times = [start, start], [0.0, plan.rests[0]]
    for phase, (pose, seconds) in enumerate(ways, 1):
        points.append(pose)
        times.append(times[-1] + seconds / plan.speed)
        if phase == plan.pause[0]:
            points.append(pose)
            times.append(times[-1] + plan.pause[1])
    points.append(home)
    times.append(times[-1] + plan.rests[1])
    fine = np.arange(0.0, times[-1], 1.0 / 240).astype(np.float64)
    action = _eased(np.array(times), np.array(points), fine)
    tremor = _smooth(random.normal(0, 1, (len(fine), 6)), 60) * [0.5, 0.5, 0.5, 0.4, 0.3, 0.4]
    resting = (fine < plan.rests[0]) | (fine > times[-1] - plan.rests[1])
    action += tremor * ~resting[:, None]
    # In the gripper from shortly before it is closed until it opens again.
    grip = next(t for t, p in zip(times, points, strict=True) if p is gripping)
    release = times[next(i for i, p in enumerate(points) if p is released) - 1]
    between = (fine >= grip - 0.15) & (fine <= release + 0.15 / plan.speed)
    state = _followed(action, plan.lag, between & plan.grasped)
    held = (fine >= grip) & (fine <= release + 0.15 / plan.speed) & plan.grasped
    dropped = (fine > release + 0.15 / plan.speed) & plan.grasped
    stamps = np.arange(0.0, times[-1] - 1.0 / rate, 1.0 / rate).astype(np.float64)
    rows = np.minimum(np.rint(stamps * 240).astype(int), len(fine) - 1)
    noisy = state[rows] + random.normal(0, 0.03, (len(rows), 6))
    measured = np.rint(noisy / _STEP) * _STEP
    return Motion(
        stamps, action[rows].astype(np.float32), measured.astype(np.float32),
        held[rows], dropped[rows], plan,
    )  # fmt: skip


def _eased(times: Floats, points: Floats, at: Floats) -> Floats:
    """Return poses between points, each way begun and ended at rest (minimum jerk)."""
    index = np.clip(np.searchsorted(times, at, side='right') - 1, 0, len(times) - 2)
    part = np.clip((at - times[index]) / np.maximum(times[index + 1] - times[index], 1e-9), 0, 1)
    eased = (part**3 * (10 - 15 * part + 6 * part**2))[:, None]
    return points[index] + eased * (points[index + 1] - points[index])


def _followed(action: Floats, lag: float, gripped: NDArray[np.bool_]) -> Floats:
    """Return what a servo does: half of the lag as dead time, half as a first-order delay."""
    dead = max(round(lag / 2 * 240), 1)
    told = np.concatenate((np.repeat(action[:1], dead, axis=0), action[:-dead]))
    part = 1 - np.exp(-1 / 240 / max(lag / 2, 1e-3))
    state = np.empty_like(told)
    now = told[0].copy()
    for row, pose in enumerate(told):
        now += part * (pose - now)
        if gripped[row]:
            now[GRIPPER] = max(now[GRIPPER], SIDE)
        state[row] = now
    state[:, 1] -= 1.5  # it sags under its own weight
    return state


def _smooth(values: Floats, width: int) -> Floats:
    kernel = np.hanning(width)
    kernel /= np.sqrt((kernel**2).sum())
    return np.stack([np.convolve(column, kernel, 'same') for column in values.T], axis=1)


def fingers(state: Floats) -> Floats:
    """Return where the gripper is in the plane of the table, (..., 2): forward and left, metres.

    Not the arm's kinematics, but as smooth, and as sensitive to the joints.
    """
    pan, lift, elbow = (np.deg2rad(state[..., i]) for i in range(3))
    reach = 0.10 + 0.116 * np.sin(lift + 0.9) + 0.135 * np.sin(lift + elbow + 0.3) * 0.6
    return np.stack([reach * np.cos(pan), reach * np.sin(pan)], axis=-1)
