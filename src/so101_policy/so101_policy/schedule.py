"""When an inference starts, and at what time each action of its chunk is due.

Time is in nanoseconds of the one clock, and counted in ticks of 1/fps from an observation: action
i of a chunk belongs to its observation's time plus i ticks, never to when it arrived. Nothing here
reads a clock.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class Schedule:
    """Decides which images are the next to make an observation of.

    One inference at a time, `horizon` ticks from one observation to the next; later ones when the
    inference takes longer than that.
    """

    def __init__(self, fps: float, horizon: int) -> None:
        self._tick = 1e9 / fps
        self._horizon = horizon
        self._due: float | None = None

    def start(self, now: int) -> None:
        """Begin at `now`: the first observation is the first captured from then on."""
        self._due = float(now)

    def stop(self) -> None:
        self._due = None

    def is_due(self, captured: int) -> bool:
        """Whether images captured at `captured` (the older of them) belong to the due tick.

        They belong to the tick that is nearest, so a camera that jitters by less than a quarter of
        a tick is observed every `horizon` frames exactly.
        """
        return self._due is not None and captured >= self._due - self._tick / 2

    def observed(self, captured: int) -> None:
        """An inference of the observation of that time has started."""
        self._due = captured + self._horizon * self._tick


@dataclass(frozen=True)
class TimedActions:
    """Actions of shape (T, 6), radians, and the time in nanoseconds at which each is due."""

    times: tuple[int, ...]
    actions: NDArray[np.float64]


def timed(actions: NDArray[np.float64], observed: int, fps: float) -> TimedActions:
    """Give each action of a chunk, shape (T, 6), its time: action i at `observed` + i / fps."""
    return TimedActions(
        tuple(observed + round(i * 1e9 / fps) for i in range(len(actions))), actions
    )


def upcoming(chunk: TimedActions, now: int) -> TimedActions:
    """Return the actions still in the future at `now`; none for a chunk that came late."""
    first = sum(time <= now for time in chunk.times)
    return TimedActions(chunk.times[first:], chunk.actions[first:])
