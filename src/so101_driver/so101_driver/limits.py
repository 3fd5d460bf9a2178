"""The bounds of what the servos are told; pure."""

from dataclasses import dataclass
from math import copysign, isfinite, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Seconds. After a pause the reference goes on at its pace instead of leaping to where it would be.
MAX_INTERVAL = 0.05


class Motion(NamedTuple):
    """Where six joints are, rad, and how fast they move, rad/s; both of shape (6,)."""

    position: Array
    velocity: Array


@dataclass(frozen=True)
class Limits:
    """What a reference keeps to, whatever its target does.

    `lower` and `upper` in radians, shape (6,); `max_velocity` in rad/s and `max_acceleration` in
    rad/s^2, for every joint.

    From one call to the next a joint moves at one velocity, that of the motion returned. It can
    always stop before the joint's limits, however short or long the next calls' `seconds` are. The
    limits of position come first: a motion from elsewhere that is too fast to stop before them
    brakes harder than `max_acceleration`, and one that is outside never goes further out.
    """

    lower: Array
    upper: Array
    max_velocity: float
    max_acceleration: float

    def follow(self, motion: Motion, target: Motion, seconds: float) -> tuple[Motion, bool]:
        """Return the motion `seconds` later, and whether it is at the target's position.

        A moving target is met exactly as long as it keeps to the limits itself; otherwise the
        motion catches up. A standing target is approached so that it is never passed. A target
        outside the limits stands at the limit. Raises ValueError for one that is not finite.
        """
        interval = min(max(seconds, 0.0), MAX_INTERVAL)
        change = self.max_acceleration * interval
        fastest = self.max_velocity
        positions, velocities = [], []
        reached = True
        for p, v, goal, rate, lower, upper in zip(
            *(row.tolist() for row in (*motion, *target, self.lower, self.upper)), strict=True
        ):
            if not isfinite(goal) or not isfinite(rate):
                raise ValueError(f'the target is not finite: {target}')
            if not lower <= goal <= upper:
                goal, rate = min(max(goal, lower), upper), 0.0
            lag = goal - rate * interval - p
            if rate and interval and abs(lag) <= change * interval:
                wanted = rate + lag / interval
            else:
                wanted = rate + copysign(self._fastest(abs(lag), interval), lag)
            wanted = min(max(wanted, v - change, -fastest), v + change, fastest)
            p, v = self._move(p, wanted, lower, upper, interval)
            positions.append(p)
            velocities.append(v)
            reached = reached and p == goal
        return Motion(np.array(positions), np.array(velocities)), reached

    def stop(self, motion: Motion, seconds: float) -> Motion:
        """Return the motion `seconds` later, on the shortest way to a standstill."""
        interval = min(max(seconds, 0.0), MAX_INTERVAL)
        change = self.max_acceleration * interval
        positions, velocities = [], []
        for p, v, lower, upper in zip(
            *(row.tolist() for row in (*motion, self.lower, self.upper)), strict=True
        ):
            slower = copysign(max(abs(v) - change, 0.0), v)
            p, v = self._move(p, slower, lower, upper, interval)
            positions.append(p)
            velocities.append(v)
        return Motion(np.array(positions), np.array(velocities))

    def _fastest(self, distance: float, interval: float) -> float:
        """Return the highest velocity from which a joint can stop within a distance.

        It moves for `interval` before it can brake: v * interval + v^2 / 2a = distance. Braking
        in steps takes less than v^2 / 2a, whatever the steps.
        """
        if not distance:
            return 0.0
        root = sqrt(interval * interval + 2 * distance / self.max_acceleration)
        return 2 * distance / (interval + root)

    def _move(
        self, position: float, velocity: float, lower: float, upper: float, interval: float
    ) -> tuple[float, float]:
        """Return the next position and velocity of one joint, able to stop before its limits."""
        way = velocity * (interval + abs(velocity) / (2 * self.max_acceleration))
        if velocity > 0 and position + way > upper:
            velocity = min(velocity, self._fastest(max(upper - position, 0.0), interval))
            return min(position + velocity * interval, max(position, upper)), velocity
        if velocity < 0 and position + way < lower:
            velocity = max(velocity, -self._fastest(max(position - lower, 0.0), interval))
            return max(position + velocity * interval, min(position, lower)), velocity
        return position + velocity * interval, velocity
