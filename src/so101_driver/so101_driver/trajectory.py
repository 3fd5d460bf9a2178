"""Trajectories with the semantics of ros2_controllers' joint_trajectory_controller; pure.

Times are int nanoseconds of system time; positions radians, in the order of JOINTS.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_node.error import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """n points; a row of NaN stands for velocities or accelerations that were not given."""

    start: int
    times: list[int]  # n, increasing
    positions: Array  # (n, 6)
    velocities: Array  # (n, 6)
    accelerations: Array  # (n, 6)

    @property
    def end(self) -> int:
        return self.times[-1]

    def spliced(self, now: int, position: Array, velocity: Array) -> 'Trajectory':
        """Return this trajectory from `now` on: past points dropped, the given state in front."""
        first = min(bisect_right(self.times, now), len(self.times) - 1)
        return Trajectory(
            self.start,
            [now, *self.times[first:]],
            np.vstack((position, self.positions[first:])),
            np.vstack((velocity, self.velocities[first:])),
            np.vstack((np.zeros_like(position), self.accelerations[first:])),
        )

    def sample(self, now: int) -> Array:
        """Return the position (6,) at `now`; the first before the start, the last after the end.

        Between two points it is a line, a cubic when both have velocities, or a quintic when both
        have accelerations too.
        """
        right = bisect_right(self.times, now)
        if right == 0:
            return self.positions[0]
        if right == len(self.times):
            return self.positions[-1]
        left = right - 1
        duration = (self.times[right] - self.times[left]) * 1e-9
        s = (now - self.times[left]) * 1e-9 / duration  # 0 to 1
        p0, p1 = self.positions[left], self.positions[right]
        v0, v1 = self.velocities[left] * duration, self.velocities[right] * duration
        step = p1 - p0
        if np.isnan(v0[0] + v1[0]):
            return p0 + s * step
        a0, a1 = self.accelerations[left] * duration**2, self.accelerations[right] * duration**2
        if np.isnan(a0[0] + a1[0]):
            powers = [v0 + v1 - 2 * step, 3 * step - 2 * v0 - v1, v0, p0]
        else:
            powers = [
                6 * step - 3 * (v0 + v1) + 0.5 * (a1 - a0),
                -15 * step + 8 * v0 + 7 * v1 + 1.5 * a0 - a1,
                10 * step - 6 * v0 - 4 * v1 - 1.5 * a0 + 0.5 * a1,
                0.5 * a0,
                v0,
                p0,
            ]
        return np.polyval(np.array(powers), s)


def parse(message: Any, now: int) -> Trajectory:
    """Check a trajectory_msgs/JointTrajectory; raises UserError with the reason for refusing it.

    Stamp 0 starts it now. All six joints are required, in any order.
    """
    names = list(message.joint_names)
    if not names or not message.points:
        raise UserError('the trajectory has no joint names or no points')
    for problem, joints in (
        ('unknown joint', set(names) - set(JOINTS)),
        ('missing joint', set(JOINTS) - set(names)),
        ('duplicate joint', {name for name, count in Counter(names).items() if count > 1}),
    ):
        if joints:
            raise UserError(f'{problem} {", ".join(sorted(joints))}')

    offsets = [_nanoseconds(point.time_from_start) for point in message.points]
    if offsets[0] < 0 or any(later <= earlier for earlier, later in pairwise(offsets)):
        raise UserError('the times of the points do not increase from 0 on')
    stamp = _nanoseconds(message.header.stamp)
    start = stamp or now
    if stamp and start + offsets[-1] <= now:
        raise UserError(
            f'the trajectory ended {(now - start - offsets[-1]) * 1e-9:.3f} s in the past'
        )

    if any(len(point.effort) for point in message.points):
        raise UserError('points with effort are not supported')
    order = [names.index(joint) for joint in JOINTS]
    positions = _field(message.points, 'positions', order)
    if np.isnan(positions).any():
        raise UserError('every point needs positions')
    return Trajectory(
        start,
        [start + offset for offset in offsets],
        positions,
        _field(message.points, 'velocities', order),
        _field(message.points, 'accelerations', order),
    )


def _field(points: Any, name: str, order: list[int]) -> Array:
    """Return one field of all points, shape (n, 6), with rows of NaN where it is not given."""
    rows = np.full((len(points), len(JOINTS)), np.nan)
    for index, point in enumerate(points):
        values = np.asarray(getattr(point, name), dtype=np.float64)
        if len(values) == 0:
            continue
        if len(values) != len(JOINTS):
            raise UserError(f'point {index} has {len(values)} {name}, not {len(JOINTS)}')
        if not np.isfinite(values).all():
            raise UserError(f'point {index} has {name} that are not finite')
        rows[index] = values[order]
    return rows


def _nanoseconds(time: Any) -> int:
    return time.sec * 1_000_000_000 + time.nanosec


class Schedule:
    """The trajectory that runs, and those that wait for their start."""

    def __init__(self) -> None:
        self._running: Trajectory | None = None
        self._waiting: list[Trajectory] = []

    def __bool__(self) -> bool:
        return self._running is not None or bool(self._waiting)

    def add(self, trajectory: Trajectory) -> None:
        """Replace everything from the trajectory's start on; until then what runs goes on."""
        earlier = [other for other in self._waiting if other.start < trajectory.start]
        self._waiting = [*earlier, trajectory]

    def clear(self) -> None:
        self._running = None
        self._waiting = []

    def advance(self, now: int, position: Array, velocity: Array) -> bool:
        """Let the latest trajectory that is due take over from the given state; True if so."""
        due = [trajectory for trajectory in self._waiting if trajectory.start <= now]
        if not due:
            return False
        self._waiting = self._waiting[len(due) :]
        self._running = due[-1].spliced(now, position, velocity)
        return True

    def target(self, now: int) -> Array | None:
        """Return the position that the running trajectory wants now, None without one."""
        return None if self._running is None else self._running.sample(now)

    def finish(self, now: int) -> None:
        """Forget the running trajectory if it is over."""
        if self._running is not None and self._running.end <= now:
            self._running = None
