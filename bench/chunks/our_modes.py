"""How so101_policy executes chunks: its schedule, fed as the policy node feeds it."""

import math
from collections.abc import Iterator

import numpy as np

from chunks.flow_policy import FlowPolicy, Seen, normalised
from chunks.method import RATE, Array, Sent
from chunks.world import Motion
from so101_description.units import dataset_to_radians, radians_to_dataset
from so101_policy import defaults
from so101_policy.schedule import Mode, Schedule

_SENDS = 5  # commands per tick; the driver writes 200 a second, between the plan's ticks as here


class Scheduled:
    """The schedule in one of its modes, with the defaults of the node's parameters.

    `guided`: the policy can be tied to what is decided, by LeRobot's real-time chunking.
    """

    def __init__(
        self, motion: Motion, seed: int, durations: Iterator[float], mode: Mode, guided: bool
    ) -> None:
        self.changes: list[int] = []
        self._policy = FlowPolicy(motion, seed, guided)
        self._durations = durations
        self._guided = guided
        self._schedule = Schedule(RATE, mode, defaults.LIMITS, defaults.INTERVAL)
        self._done = math.inf
        self._chunk: Array = np.empty((0, 6))

    def tick(self, tick: int, observation: Seen) -> Sent:
        schedule = self._schedule
        if schedule.plan is None:
            schedule.start(_time(tick), dataset_to_radians(observation.state))
        sent = []
        for send in range(_SENDS):
            now = tick + send / _SENDS
            self._answer(now)
            if send == 0 and schedule.is_due(_time(now)):
                self._ask(observation)
                self._answer(now)
            assert schedule.plan is not None
            sent.append((send / _SENDS, radians_to_dataset(schedule.plan.at(_time(now))[0])))
        return sent

    def _ask(self, observation: Seen) -> None:
        guidance = self._schedule.ask(_time(observation.tick))
        if guidance is None or not self._guided:
            chunk = self._policy.predict(observation)
        else:
            chunk = self._policy.predict(
                observation,
                prev_chunk_left_over=normalised(radians_to_dataset(guidance.prefix)),
                inference_delay=guidance.delay,
                execution_horizon=guidance.horizon,
            )
        self._chunk = dataset_to_radians(self._policy.unnormalised(chunk))
        self._done = observation.tick + next(self._durations)

    def _answer(self, now: float) -> None:
        if self._done > now:
            return
        if self._schedule.answer(self._chunk, _time(self._done)) is not None:
            self.changes.append(math.ceil(self._done - 0.5))
        self._done = math.inf


def _time(ticks: float) -> int:
    return round(ticks * 1e9 / RATE)
