"""One rollout in lockstep: simulation, cameras, policy and schedule advanced together; pure.

Time is the simulation's: an inference takes as long as it is said to take, whatever it takes here.
Nothing waits, so that a machine that is too slow for the graph of nodes judges a policy as it
would run on one that is fast enough.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_description.units import dataset_to_radians, radians_to_dataset
from so101_driver.trajectory import Point, Trajectory
from so101_node.error import UserError
from so101_policy.pilot import Pilot
from so101_policy.plan import Plan
from so101_policy.schedule import Guidance
from so101_sim.lockstep import Lockstep

Array = NDArray[np.float64]
Images = NDArray[np.uint8]  # (camera, height, width, 3)

FPS = 30.0  # of the cameras
TICK = 1e9 / FPS


class Predict(Protocol):
    """A policy: LoadedPolicy.predict with the task said already."""

    def __call__(
        self, images: Images, state: Array, guidance: Guidance | None = None
    ) -> Array: ...


class Execution(Protocol):
    """Makes trajectories of a policy's chunks. Times are int nanoseconds of the simulation."""

    @property
    def changes(self) -> list[int]:
        """When a new chunk took over."""

    @property
    def due(self) -> float:
        """When it is to `proceed`, a whole number of nanoseconds; infinity for never."""

    def begin(self, now: int, reference: Array) -> None:
        """An episode begins with the arm at rest at `reference`, radians, shape (6,)."""

    def frame(self, now: int, state: Array, see: Callable[[], Images]) -> Trajectory | None:
        """The cameras took a frame; `state` in dataset units; `see` renders it."""

    def proceed(self, now: int) -> Trajectory | None:
        """It is `due`."""


class Scheduled:
    """The suite's own: what the policy node does with chunks."""

    def __init__(
        self, pilot: Pilot, predict: Predict, latencies: Iterator[float], guided: bool
    ) -> None:
        """`latencies`: seconds from each frame to its chunk, one after the other.

        `guided`: the policy can be tied to what is decided (LoadedPolicy.guided).
        """
        self.changes: list[int] = []
        self.due: float = math.inf
        self._pilot = pilot
        self._predict = predict
        self._latencies = latencies
        self._guided = guided
        self._chunk: Array | None = None

    def begin(self, now: int, reference: Array) -> None:
        self._pilot.enable(now, reference)

    def frame(self, now: int, state: Array, see: Callable[[], Images]) -> Trajectory | None:
        plan = self._pilot.watch(now, inputs='', fault='', pose=dataset_to_radians(state))
        if plan is not None:
            return of_plan(plan)
        if self._chunk is not None or not self._pilot.is_due(now):
            return None
        guidance = self._pilot.ask(now)
        if guidance is not None:
            prefix = radians_to_dataset(guidance.prefix)
            guidance = Guidance(prefix, guidance.delay, guidance.horizon)
        images = see()
        if self._guided:
            chunk = self._predict(images, state, guidance)
        else:
            chunk = self._predict(images, state)
        self._chunk = dataset_to_radians(chunk)
        self.due = now + round(next(self._latencies) * 1e9)
        return self.proceed(now) if self.due <= now else None

    def proceed(self, now: int) -> Trajectory | None:
        assert self._chunk is not None
        chunk, self._chunk, self.due = self._chunk, None, math.inf
        followed = self._pilot.counts.followed
        plan = self._pilot.answer(chunk, now)
        if self._pilot.counts.followed > followed:
            self.changes.append(now)
        return None if plan is None else of_plan(plan)


@dataclass(frozen=True)
class Rollout:
    """How a rollout went. `held` says why the arm was held at its end, or nothing.

    `references`, shape (T, 6), radians: what the servos were told, one at each frame; `changes`:
    the frames at which, or before which, a new chunk took over.
    """

    success: bool
    seconds: float
    references: Array
    changes: tuple[int, ...]
    held: str


def roll_out(
    simulation: Lockstep, see: Callable[[Array], Images], execution: Execution, seconds: float
) -> Rollout:
    """Let a policy move the arm until the cube rests in the bowl, or for so many seconds.

    `see` renders the cameras' images of the world's coordinates. A driver that faults ends it.
    """
    begun = simulation.time
    end = begun + round(seconds * 1e9)
    references = []
    held = ''
    frames = 0
    execution.begin(begun, simulation.reference)
    try:
        while not simulation.success:
            frame = begun + round(frames * TICK)
            now = int(min(frame, execution.due, end))
            simulation.advance(now)
            if now == end:
                break
            if execution.due <= now:
                trajectory = execution.proceed(now)
            else:
                frames += 1
                references.append(simulation.reference)
                state = radians_to_dataset(simulation.position)
                trajectory = execution.frame(now, state, partial(see, simulation.positions))
            if trajectory is not None:
                simulation.send(trajectory)
    except UserError as error:
        held = str(error)
    return Rollout(
        simulation.success,
        (simulation.time - begun) * 1e-9,
        np.array(references),
        tuple(math.ceil((time - begun) / TICK - 0.5) for time in execution.changes),
        held,
    )


def of_plan(plan: Plan) -> Trajectory:
    """Return a plan as the driver takes it: see so101_policy.trajectory_message."""
    return Trajectory(
        plan.start,
        tuple(
            Point(time, *(tuple(row.tolist()) for row in (position, velocity, acceleration)))
            for time, position, velocity, acceleration in plan.sent
        ),
    )
