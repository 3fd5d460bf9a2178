"""What executes chunks, tick by tick, and what it asks of a policy.

Angles are dataset units: degrees, and 0 to 100 for the gripper. Time is in ticks of 1/30 s.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

RATE = 30.0  # Hz: LeRobot's default for cameras and datasets

Sent = list[tuple[float, Array]]  # ticks since a tick's start, in [0, 1), and the command


class Observation(Protocol):
    """What a policy is shown: `state` (6,), as measured, and what it may want beside."""

    @property
    def state(self) -> Array: ...


class Policy(Protocol):
    """A policy of LeRobot's. Actions (..., 6) are normalised, as its own code has them."""

    @property
    def chunk_size(self) -> int: ...

    def infers(self) -> bool:
        """Whether `select` is about to infer, for its queue is empty."""

    def select(self, observation: Any) -> Tensor:
        """Return the next action of LeRobot's own queue, (6,)."""

    def predict(self, observation: Any, **guidance: Any) -> Tensor:
        """Return a chunk, (chunk_size, 6); `guidance` as LeRobot's real-time chunking has it."""

    def unnormalised(self, actions: Tensor) -> Array:
        """Return actions in dataset units."""


class Method(Protocol):
    """Executes chunks; `changes` are the first ticks that each chunk commands."""

    changes: list[int]

    def tick(self, tick: int, observation: Any) -> Sent:
        """Return what is commanded within this tick, at whose start `observation` was made."""
