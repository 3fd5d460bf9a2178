"""LeRobot's ways to execute chunks, in rollouts in lockstep.

LeRobot writes each action to the servos as a goal, once a tick, and they go there as fast as they
can. Here it is a trajectory of one point, due at once: the driver goes there as fast as its limits
let it. Due a tick later, on a straight line, a half-trained policy succeeded as often (sync queue
7 of 20, ensembling 12 of 20, either way), and jumps were a tenth larger.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chunks import lerobot_modes
from chunks.method import RATE, Array, Method
from chunks.trained_policy import Seen, TrainedPolicy
from so101_description.units import dataset_to_radians
from so101_driver.trajectory import Point, Trajectory
from so101_evaluation.simulated_rollout import TICK, Execution, Images
from so101_policy.loaded_policy import LoadedPolicy


class Ticked:
    """A method, asked at every frame, as an Execution."""

    def __init__(self, method: Method) -> None:
        self.due: float = math.inf
        self._method = method
        self._sends: deque[tuple[int, Array]] = deque()
        self._begun = 0
        self._tick = 0

    @property
    def changes(self) -> list[int]:
        return [self._begun + round(tick * TICK) for tick in self._method.changes]

    def begin(self, now: int, reference: Array) -> None:
        self._begun = now

    def frame(self, now: int, state: Array, see: Callable[[], Images]) -> Trajectory | None:
        for offset, command in self._method.tick(self._tick, Seen(state, see)):
            self._sends.append((now + round(offset * TICK), command))
        self._tick += 1
        return self.proceed(now)

    def proceed(self, now: int) -> Trajectory | None:
        sent = None
        if self._sends and self._sends[0][0] <= now:
            sent = _goal(now, self._sends.popleft()[1])
        self.due = self._sends[0][0] if self._sends else math.inf
        return sent


def _goal(now: int, command: Array) -> Trajectory:
    position = tuple(dataset_to_radians(command).tolist())
    return Trajectory(now, (Point(now, position, None, None),))


@dataclass(frozen=True)
class LeRobot:
    """A method of lerobot_modes, by its name there."""

    name: str

    def execution(self, policy: LoadedPolicy, task: str, latencies: Iterator[float]) -> Execution:
        durations = (round(seconds * RATE, 6) for seconds in latencies)
        make = lerobot_modes.METHODS[self.name]
        return Ticked(make(TrainedPolicy(policy, task), durations))
