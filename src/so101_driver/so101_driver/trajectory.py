"""Trajectories with the semantics of ros2_controllers' joint_trajectory_controller; pure.

Those of its topic and its default parameters (4.42, for Jazzy), and the replacement that its
documentation describes. Stricter: a joint named twice, a point before the start, a start far in
the future and a jump are refused. Otherwise: accelerations without velocities are not used.

Times are int nanoseconds of system time; rows are in the order of JOINTS.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import degrees
from operator import attrgetter, sub
from typing import Any, NamedTuple

import numpy as np

from so101_description.joints import JOINTS
from so101_driver.limits import Motion
from so101_node.error import UserError

Row = tuple[float, ...]  # one number per joint

# Nanoseconds. Senders plan seconds ahead; a start that is further away is a clock set wrong, and
# the arm would begin to move when nobody expects it any more.
MAX_LEAD = 10_000_000_000

# Radians, rad/s or rad/s^2: far beyond any arm, and small enough for every sum on the way.
_LARGEST = 1e6

# rad/s. What joint_trajectory_controller takes for zero: the rounding of 32-bit senders.
_STANDSTILL = float(np.finfo(np.float32).eps)

_ZEROS: Row = (0.0,) * len(JOINTS)


class Unsound(UserError):
    """Numbers that no working sender sends: not finite, or a jump."""


class Point(NamedTuple):
    """Radians, rad/s, rad/s^2; None where a point does not give them."""

    time: int
    position: Row
    velocity: Row | None
    acceleration: Row | None


@dataclass(frozen=True)
class Trajectory:
    """At least one point, in the order of time. `held` are the joints that it does not name.

    Those have velocity and acceleration 0 where others have one, and get their position when it
    takes over.
    """

    start: int
    points: tuple[Point, ...]
    held: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        return self.points[-1].time

    def delayed(self, nanoseconds: int) -> 'Trajectory':
        """Return this trajectory, so much later."""
        points = tuple(point._replace(time=point.time + nanoseconds) for point in self.points)
        return Trajectory(self.start + nanoseconds, points, self.held)

    def spliced(self, now: int, motion: Motion, since: int) -> 'Trajectory':
        """Return what is left at `now`, led by `motion`, which is that of the time `since`.

        Points in the past are dropped, but for the last one.
        """
        position, velocity = (tuple(row.tolist()) for row in motion)
        due = self.points[min(self._next(now), len(self.points) - 1) :]
        if self.held:
            due = tuple(point._replace(position=self._filled(point, position)) for point in due)
        return Trajectory(self.start, (Point(since, position, velocity, _ZEROS), *due))

    def sample(self, now: int) -> Motion:
        """Return the motion at `now`: none before the first point, and from the last one on.

        Between two points it is a line, a cubic when both have velocities, or a quintic when both
        have accelerations too.
        """
        index = self._next(now)
        if 0 < index < len(self.points):
            return _between(self.points[index - 1], self.points[index], now)
        point = self.points[0 if index == 0 else -1]
        return Motion(np.array(point.position), np.zeros(len(JOINTS)))

    def _next(self, now: int) -> int:
        """Return the index of the first point that is later than `now`."""
        return bisect_right(self.points, now, key=attrgetter('time'))

    def _filled(self, point: Point, position: Row) -> Row:
        return tuple(
            (position if joint in self.held else point.position)[joint]
            for joint in range(len(JOINTS))
        )


def _between(before: Point, after: Point, now: int) -> Motion:
    """Return the motion between two points, by Hermite polynomials of s from 0 to 1."""
    s = (now - before.time) / (after.time - before.time)
    seconds = (after.time - before.time) * 1e-9
    r = 1 - s
    rows = [after.position]
    weights, rates = [s], [1.0]
    if before.velocity and after.velocity:
        rows += [before.velocity, after.velocity]
        weights = [s * s * (3 - 2 * s), s * r * r, -s * s * r]
        rates = [6 * s * r, r * (1 - 3 * s), s * (3 * s - 2)]
        if before.acceleration and after.acceleration:
            rows += [before.acceleration, after.acceleration]
            weights = [
                s**3 * (10 - 15 * s + 6 * s * s),
                s * r**3 * (1 + 3 * s),
                s**3 * r * (3 * s - 4),
                s * s * r**3 / 2,
                s**3 * r * r / 2,
            ]
            rates = [
                30 * s * s * r * r,
                r * r * (1 + 2 * s - 15 * s * s),
                s * s * (28 * s - 12 - 15 * s * s),
                s * r * r * (2 - 5 * s) / 2,
                s * s * r * (3 - 5 * s) / 2,
            ]
    start = np.array(before.position)
    values = np.array(rows)
    values[0] -= start
    values[1:3] *= seconds
    values[3:] *= seconds**2
    way, rate = np.array((weights, rates)) @ values
    return Motion(start + way, rate / seconds)


def parse(message: Any, now: int, *, partial: bool = False) -> Trajectory:
    """Check a trajectory_msgs/JointTrajectory; raises UserError with the reason for refusing it.

    Stamp 0 starts it now. The joints may come in any order, and all six have to, unless
    `partial`: those that are not named stand still.
    """
    names = list(message.joint_names)
    if not names or not message.points:
        raise UserError('the trajectory has no joint names or no points')
    for problem, joints in (
        ('unknown joint', set(names) - set(JOINTS)),
        ('duplicate joint', {name for name, count in Counter(names).items() if count > 1}),
        ('missing joint', set() if partial else set(JOINTS) - set(names)),
    ):
        if joints:
            raise UserError(
                f'{problem} {", ".join(sorted(joints))}: name each of {", ".join(JOINTS)} once'
            )
    start, times = _times(message, now)
    points = tuple(
        _point(time, point, index, names)
        for index, (time, point) in enumerate(zip(times, message.points, strict=True))
    )
    for joint, velocity in zip(JOINTS, points[-1].velocity or _ZEROS, strict=True):
        if abs(velocity) > _STANDSTILL:
            raise UserError(
                f'{joint} has {degrees(velocity):.2f} degrees/s at the last point: end with '
                'velocity 0, or leave the velocities out'
            )
    held = tuple(index for index, joint in enumerate(JOINTS) if joint not in names)
    return Trajectory(start, points, held)


def _times(message: Any, now: int) -> tuple[int, list[int]]:
    """Return when the trajectory starts and when each of its points is due."""
    offsets = [_nanoseconds(point.time_from_start) for point in message.points]
    if offsets[0] < 0:
        raise UserError(f'point 0 is due {-offsets[0] * 1e-9:.3f} s before the start')
    for index, (earlier, later) in enumerate(pairwise(offsets)):
        if later <= earlier:
            raise UserError(
                f'the times do not increase: point {index} is due at {earlier * 1e-9:.3f} s, '
                f'point {index + 1} at {later * 1e-9:.3f} s'
            )
    stamp = _nanoseconds(message.header.stamp)
    start = stamp or now
    late = now - start - offsets[-1]
    if late > 0:
        raise UserError(
            f"the trajectory ended {late * 1e-9:.3f} s in the past: check the sender's clock"
        )
    if start - now > MAX_LEAD:
        raise UserError(
            f'the trajectory starts {(start - now) * 1e-9:.3f} s in the future, more than '
            f"{MAX_LEAD * 1e-9:.0f} s: check the sender's clock"
        )
    return start, [start + offset for offset in offsets]


def _nanoseconds(time: Any) -> int:
    return time.sec * 1_000_000_000 + time.nanosec


def _point(time: int, point: Any, index: int, names: list[str]) -> Point:
    if len(point.effort):
        raise UserError(f'point {index} has effort: leave it empty, the servos take positions')
    position = _row(point.positions, 'positions', index, names)
    if position is None:
        raise UserError(f'point {index} has no positions: every point needs them')
    velocity = _row(point.velocities, 'velocities', index, names)
    acceleration = _row(point.accelerations, 'accelerations', index, names)
    return Point(time, position, velocity, acceleration)


def _row(values: Sequence[float], field: str, index: int, names: list[str]) -> Row | None:
    """Return one field in the order of JOINTS, 0 for those not named; None if it is not given."""
    if not len(values):
        return None
    if len(values) != len(names):
        raise UserError(f'point {index} has {len(values)} {field}, not {len(names)}')
    given = dict(zip(names, map(float, values), strict=True))
    for name, value in given.items():
        if not -_LARGEST <= value <= _LARGEST:
            raise Unsound(f'point {index} has {value} for {name} in its {field}: check its sender')
    return tuple([given.get(joint, 0.0) for joint in JOINTS])


class Schedule:
    """The trajectory that runs, and those that wait for their start.

    A jump is a way between two points, or from the motion to the first point that is due, which
    is by more than `max_jump` (rad) longer than `max_velocity` (rad/s) gets in the time for it.
    """

    def __init__(self, max_velocity: float, max_jump: float) -> None:
        self._max_velocity = max_velocity
        self._max_jump = max_jump
        self._running: Trajectory | None = None
        self._waiting: list[Trajectory] = []  # in the order of their starts

    def __bool__(self) -> bool:
        return self._running is not None or bool(self._waiting)

    def add(self, trajectory: Trajectory) -> int:
        """Replace everything from the trajectory's start on; until then what runs goes on.

        Return how many trajectories it replaced that had not begun. Raises UserError, and replaces
        nothing, if it jumps.
        """
        for before, after in pairwise(trajectory.points):
            self._check(before, after, after.time - before.time)
        earlier = [other for other in self._waiting if other.start < trajectory.start]
        replaced = len(self._waiting) - len(earlier)
        self._waiting = [*earlier, trajectory]
        return replaced

    def clear(self) -> None:
        self._running = None
        self._waiting = []

    def advance(self, now: int, motion: Motion, since: int) -> int:
        """Let the latest trajectory that is due take over; return how many were due.

        `motion` is that of the last cycle, whose time was `since`: the new trajectory goes on
        from there. Raises UserError, and forgets all trajectories, if that would be a jump.
        """
        due = [trajectory for trajectory in self._waiting if trajectory.start <= now]
        if not due:
            return 0
        spliced = due[-1].spliced(now, motion, since)
        before, after = spliced.points[:2]
        try:
            self._check(before, after, max(after.time - now, 0))
        except UserError:
            self.clear()
            raise
        self._waiting = self._waiting[len(due) :]
        self._running = spliced
        return len(due)

    def target(self, now: int) -> Motion | None:
        """Return the motion that the running trajectory wants now, None without one."""
        return None if self._running is None else self._running.sample(now)

    def delay(self, nanoseconds: int) -> None:
        """Let everything happen so much later."""
        if self._running is not None:
            self._running = self._running.delayed(nanoseconds)
        self._waiting = [trajectory.delayed(nanoseconds) for trajectory in self._waiting]

    def finish(self, now: int) -> None:
        """Forget the running trajectory if it is over."""
        if self._running is not None and self._running.end <= now:
            self._running = None

    def _check(self, before: Point, after: Point, duration: int) -> None:
        reach = self._max_jump + self._max_velocity * duration * 1e-9
        ways = [*map(abs, map(sub, after.position, before.position))]
        if max(ways) > reach:
            worst = ways.index(max(ways))
            raise Unsound(
                f'{JOINTS[worst]} would jump from {degrees(before.position[worst]):.1f} to '
                f'{degrees(after.position[worst]):.1f} degrees in {duration * 1e-9:.3f} s: '
                'begin where the arm is, and leave it time from point to point'
            )
