"""A demonstration in lockstep: whether the expert's hand does the task, and in what time; pure."""

from typing import NamedTuple

import mujoco

from so101_driver.calibration import Calibration
from so101_driver.trajectory import Point, Trajectory
from so101_node.error import UserError
from so101_sim import expert
from so101_sim.expert import Way
from so101_sim.hand import Pose
from so101_sim.lockstep import Lockstep

# Nanoseconds between two trajectories, each of two points so far apart: as a policy sends them.
_TICK = 33_333_333

# Seconds, after the end of its way, in which the cube may come to rest.
_REST = 1.0


class Rehearsal(NamedTuple):
    """`seconds`: until the cube lay at rest in the bowl, or until the end; 0.0 after a fault.

    `said`: what the driver had against it, or nothing.
    """

    success: bool
    seconds: float
    said: str


def rehearse(
    model: mujoco.MjModel,
    calibration: Calibration,
    seed: int,
    start: Pose | None = None,
    off: tuple[float, float] = (0.0, 0.0),
) -> Rehearsal:
    """Demonstrate once, the cube where a seed puts it.

    From home or, first moved there, from `start` (radians). `off` (m): how far from where it lies
    the hand takes the cube to be, in x and y.
    """
    simulation = Lockstep(model, calibration, seed)
    try:
        if start is not None:
            _follow(simulation, expert.straight(simulation.reference, start))
            simulation.advance(simulation.time + 1_000_000_000)
        (x, y), yaw = simulation.cube
        seen = (x + off[0], y + off[1])
        way = expert.demonstration(simulation.reference, seen, yaw, seed)
        begun = simulation.time
        _follow(simulation, way)
        while not simulation.success and simulation.time < begun + (way.seconds + _REST) * 1e9:
            simulation.advance(simulation.time + _TICK)
    except UserError as error:
        return Rehearsal(False, 0.0, str(error))
    return Rehearsal(simulation.success, (simulation.time - begun) * 1e-9, '')


def _follow(simulation: Lockstep, way: Way) -> None:
    """Send the arm along a way, until its end or the task's. Raises UserError for a fault."""
    begun = simulation.time
    while simulation.time < begun + way.seconds * 1e9 and not simulation.success:
        now = simulation.time
        points = [
            Point(time, tuple(way.pose((time - begun) * 1e-9).tolist()), None, None)
            for time in (now + _TICK, now + 2 * _TICK)
        ]
        simulation.send(Trajectory(now, tuple(points)))
        simulation.advance(now + _TICK)
