"""A move between two poses: time-optimal with limited velocity, acceleration and jerk."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ruckig import InputParameter, Result, Ruckig, Synchronization, Trajectory

# About a third of the 4.8 rad/s that the servo reaches without load at 12 V: a move may be
# watched, and the arm follows it with little lag.
VELOCITY = 1.5  # rad/s
ACCELERATION = 4.0  # rad/s^2
JERK = 20.0  # rad/s^3
STEP = 0.025  # s


@dataclass(frozen=True)
class Move:
    """Points after the start pose: times (n,) s, positions (n, joints) rad, velocities likewise.

    The last point is the goal, at rest.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]

    @property
    def duration(self) -> float:
        return float(self.times[-1])

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Return the positions at `times`, shape (..., joints): on lines between the points."""
        asked = np.asarray(times, dtype=np.float64)
        columns = [np.interp(asked, self.times, column) for column in self.positions.T]
        return np.stack(columns, axis=-1)


def plan(
    start: ArrayLike,
    goal: ArrayLike,
    *,
    step: float = STEP,
    velocity: float = VELOCITY,
    acceleration: float = ACCELERATION,
    jerk: float = JERK,
) -> Move:
    """Plan from rest at `start` to rest at `goal`: radians, shape (joints,); a point each `step`.

    All joints start and arrive together, on a straight line in joint space. Raises ValueError for
    poses that are not finite or not of one shape.
    """
    start, goal = np.asarray(start, dtype=np.float64), np.asarray(goal, dtype=np.float64)
    if start.ndim != 1 or start.shape != goal.shape:
        raise ValueError(f'start has shape {start.shape}, goal {goal.shape}')
    if not (np.isfinite(start).all() and np.isfinite(goal).all()):
        raise ValueError(f'not a pose: {start} to {goal}')
    joints = len(start)
    problem = InputParameter(joints)
    problem.synchronization = Synchronization.Phase
    problem.current_position = start
    problem.target_position = goal
    problem.max_velocity = [velocity] * joints
    problem.max_acceleration = [acceleration] * joints
    problem.max_jerk = [jerk] * joints
    trajectory = Trajectory(joints)
    result = Ruckig(joints).calculate(problem, trajectory)
    if result not in (Result.Working, Result.Finished):
        raise ValueError(f'no move from {start} to {goal}: {result}')

    inside = np.arange(step, trajectory.duration - step / 2, step)
    times = np.append(inside, max(trajectory.duration, step))
    states = [trajectory.at_time(time) for time in inside]
    return Move(
        times=times,
        positions=np.array([*(position for position, _, _ in states), goal]),
        velocities=np.array([*(speed for _, speed, _ in states), np.zeros(joints)]),
    )
