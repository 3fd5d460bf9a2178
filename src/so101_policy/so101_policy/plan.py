"""The motion that is published: it follows wanted positions as smoothly as the limits allow; pure.

A plan is the minimum of

    sum (p - wanted)^2 + STIFFNESS * sum (third difference of p)^2

with velocity, acceleration and jerk within limits, with its first rows given by the motion that
it goes on from, and at rest at its end: when nothing follows, the arm slows down and holds. Unlike
a filter it knows what is wanted next, so it lags behind nothing.

Times are int nanoseconds, positions radians, rows in the order of JOINTS.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import clarabel
import numpy as np
import scipy.sparse as sparse
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Rows that say where a motion comes from: position, velocity and acceleration as differences.
PAST = 3

# Rows behind the last wanted one, to come to rest in. A third of a second: from 3 rad/s with
# 15 rad/s^2 and 400 rad/s^3 the arm needs 0.24 s.
_STOP_SECONDS = 1 / 3

# Hz at which half of an oscillation of what is wanted remains. People move their arms below 3 Hz,
# and what a policy adds from one action to the next is noise.
_CUTOFF = 3.0

# Radians^2 per radian and tick^3 beyond the jerk limit. The limit gives way rather than the others
# where a motion that is sampled anew exceeds it by a trifle. Larger than any multiplier seen.
_JERK_PRICE = 100.0


class Limits(NamedTuple):
    """Of every joint, in rad/s, rad/s^2, rad/s^3."""

    velocity: float
    acceleration: float
    jerk: float


@dataclass(frozen=True)
class Plan:
    """Positions of shape (N, 6), one each `tick` seconds from `start` on; then it holds.

    `past` has shape (3, 6): the rows before, of the motion that the plan goes on from; its last is
    that at `start`, positions[0].
    """

    start: int
    tick: float
    past: Array
    positions: Array

    @property
    def end(self) -> int:
        """When the arm stands."""
        return self.start + round((len(self.positions) - 1) * self.tick * 1e9)

    @property
    def times(self) -> tuple[int, ...]:
        return tuple(
            self.start + round(row * self.tick * 1e9) for row in range(len(self.positions))
        )

    @property
    def sent(self) -> list[tuple[int, Array, Array, Array]]:
        """Return time, position, velocity and acceleration of each row that the driver is sent.

        The second row is left out: the driver hears of the plan some milliseconds after its start,
        30 on a busy computer, and would have to be at that row within what is left of the tick.
        """
        columns = self.times, self.positions, self.velocities, self.accelerations
        rows = list(zip(*columns, strict=True))
        return rows[:1] + rows[2:]

    @property
    def velocities(self) -> Array:
        """Return rad/s, shape (N, 6): zero at the end."""
        rows = self._extended()
        return (rows[2:] - rows[:-2]) / (2 * self.tick)

    @property
    def accelerations(self) -> Array:
        """Return rad/s^2, shape (N, 6): zero at the end."""
        rows = self._extended()
        return (rows[2:] - 2 * rows[1:-1] + rows[:-2]) / self.tick**2

    def at(self, times: ArrayLike) -> Array:
        """Return the positions at times, shape (T, 6), by quintics as the driver does.

        Up to two ticks before `start` it is the motion that came before, roughly.
        """
        rows = np.vstack([self.past[:-1], self.positions])
        wide = np.vstack([2 * rows[0] - rows[1], rows, rows[-1]])
        velocities = (wide[2:] - wide[:-2]) / 2
        accelerations = wide[2:] - 2 * rows + wide[:-2]
        seconds = (np.atleast_1d(np.asarray(times, np.int64)) - self.start) * 1e-9
        ticks = np.clip(seconds / self.tick + PAST - 1, 0, len(rows) - 1)
        i = np.minimum(ticks.astype(int), len(rows) - 2)
        s = (ticks - i)[:, None]
        r = 1 - s
        found: Array = (
            rows[i]
            + (rows[i + 1] - rows[i]) * s**3 * (10 - 15 * s + 6 * s * s)
            + velocities[i] * s * r**3 * (1 + 3 * s)
            + velocities[i + 1] * s**3 * r * (3 * s - 4)
            + accelerations[i] * s * s * r**3 / 2
            + accelerations[i + 1] * s**3 * r * r / 2
        )
        return found

    def _extended(self) -> Array:
        return np.vstack([self.past[-2], self.positions, self.positions[-1]])


def standing(pose: Array, now: int, tick: float) -> Plan:
    """Return the plan of an arm that stands at `pose`, shape (6,)."""
    return Plan(now, tick, np.tile(pose, (PAST, 1)), pose[None].copy())


def following(before: Plan, start: int, wanted: Array, limits: Limits) -> Plan:
    """Return the plan that leaves `before` at `start` and follows `wanted`.

    `wanted` has shape (T, 6): where the joints should be one, two ... ticks after `start`.
    """
    rest = np.repeat(wanted[-1:], _stop_rows(before.tick, limits), axis=0)
    return _solve(before, start, np.vstack([wanted, rest]), _stiffness(before.tick), limits)


def braking(before: Plan, start: int, limits: Limits) -> Plan:
    """Return the plan that leaves `before` at `start` and comes to rest in a third of a second."""
    rows = _stop_rows(before.tick, limits)
    return _solve(before, start, np.zeros((rows, 6)), np.inf, limits)


def _stop_rows(tick: float, limits: Limits) -> int:
    """Return enough rows to stop in from full speed; three of them are the same, at rest."""
    needed = limits.velocity / limits.acceleration + limits.acceleration / limits.jerk
    return PAST + int(np.ceil(max(_STOP_SECONDS - PAST * tick, needed) / tick))


def _stiffness(tick: float) -> float:
    # The filter that the sum amounts to passes 1 / (1 + STIFFNESS (2 sin(pi f tick))^6) at f.
    return float((2 * np.sin(np.pi * _CUTOFF * tick)) ** -6)


def _solve(before: Plan, start: int, wanted: Array, stiffness: float, limits: Limits) -> Plan:
    tick = before.tick
    past = before.at(start - np.round(np.arange(PAST - 1, -1, -1) * tick * 1e9).astype(np.int64))
    problem = _problem(len(wanted), stiffness)
    rows = problem.unlimited(wanted, past)
    bounds = limits.velocity * tick, limits.acceleration * tick**2, limits.jerk * tick**3
    for joint in np.flatnonzero(problem.excess(rows, past, bounds) > 0):
        rows[:, joint] = problem.limited(wanted[:, joint], past[:, joint], bounds)
    return Plan(start, tick, past, np.vstack([past[-1:], rows]))


class _Problem:
    """The quadratic program of one length, in differences per tick; joints are independent.

    Infinite stiffness: only the jerk counts, and what is wanted does not.
    """

    def __init__(self, length: int, stiffness: float) -> None:
        weight, stiffness = (0.0, 1.0) if np.isinf(stiffness) else (1.0, stiffness)
        self._weight = weight
        whole = sparse.identity(length + PAST, format='csr')
        differences = [whole]
        for _ in range(PAST):
            differences.append(differences[-1][1:] - differences[-1][:-1])
        # Only those that the plan can still change: each of them ends in one of its rows.
        self._differences = [d[-length:] for d in differences[1:]]
        velocity, acceleration, jerk = (d[:, PAST:] for d in self._differences)
        self._cost = weight * sparse.identity(length) + stiffness * jerk.T @ jerk
        self._pull = stiffness * jerk.T @ self._differences[2][:, :PAST]
        # At rest, the acceleration too: the last three rows are the same.
        self._rest = velocity[-2:]
        system = sparse.bmat([[self._cost, self._rest.T], [self._rest, None]])
        self._inverse = np.linalg.inv(system.toarray())[:length, :length]
        free, none = sparse.identity(length), sparse.csr_matrix((length, length))
        self._settings = clarabel.DefaultSettings()
        self._settings.verbose = False
        self._matrix = sparse.vstack(
            [
                sparse.hstack([self._rest, sparse.csr_matrix((2, length))]),
                *(sparse.hstack([sign * d, none]) for d in (velocity, acceleration)
                  for sign in (1, -1)),
                *(sparse.hstack([sign * jerk, -free]) for sign in (1, -1)),
                sparse.hstack([none, -free]),
            ],
            format='csc',
        )  # fmt: skip
        self._quadratic = sparse.block_diag([sparse.triu(self._cost), none], format='csc')
        self._cones = [
            clarabel.ZeroConeT(2),
            clarabel.NonnegativeConeT(self._matrix.shape[0] - 2),
        ]

    def unlimited(self, wanted: Array, past: Array) -> Array:
        rows: Array = self._inverse @ (self._weight * wanted - self._pull @ past)
        rows[1 - PAST :] = rows[-PAST]  # at rest exactly, not but for rounding
        return rows

    def excess(self, rows: Array, past: Array, bounds: tuple[float, ...]) -> Array:
        """Return by how much each joint exceeds the worst of its limits."""
        whole = np.vstack([past, rows])
        worst = [
            np.abs(d @ whole).max(axis=0) - bound
            for d, bound in zip(self._differences, bounds, strict=True)
        ]
        found: Array = np.max(worst, axis=0)
        return found

    def limited(self, wanted: Array, past: Array, bounds: tuple[float, ...]) -> Array:
        """Return one joint's rows within the limits."""
        length = len(wanted)
        room = [np.zeros(2)]
        for difference, bound in zip(self._differences, bounds, strict=True):
            known = difference[:, :PAST] @ past
            room += [bound - known, bound + known]
        linear = self._pull @ past - self._weight * wanted
        solution = clarabel.DefaultSolver(
            self._quadratic,
            np.concatenate([linear, np.full(length, _JERK_PRICE)]),
            self._matrix,
            np.concatenate([*room, np.zeros(length)]),
            self._cones,
            self._settings,
        ).solve()
        if solution.status not in (
            clarabel.SolverStatus.Solved,
            clarabel.SolverStatus.AlmostSolved,
        ):
            # Rows to stop in are counted so that there is one. Should there be none all the same,
            # a smooth way to rest is better than the old plan.
            return self.unlimited(wanted[:, None], past[:, None])[:, 0]
        rows = np.array(solution.x[:length])
        rows[1 - PAST :] = rows[-PAST]  # at rest exactly, not but for rounding
        return rows


@lru_cache(64)
def _problem(length: int, stiffness: float) -> _Problem:
    return _Problem(length, stiffness)
