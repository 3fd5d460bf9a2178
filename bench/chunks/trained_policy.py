"""A checkpoint as the methods want a policy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from chunks.method import Array
from so101_evaluation.simulated_rollout import Images
from so101_policy.loaded_policy import LoadedPolicy


@dataclass(frozen=True)
class Seen:
    """An observation: `state` (6,) in dataset units; `see` draws the cameras' images."""

    state: Array
    see: Callable[[], Images]


class TrainedPolicy:
    """A SmolVLA that was loaded, and its task. It draws what it infers from, nothing else."""

    def __init__(self, loaded: LoadedPolicy, task: str) -> None:
        self._loaded = loaded
        self._task = task

    @property
    def chunk_size(self) -> int:
        return self._loaded.checkpoint.chunk_size

    def infers(self) -> bool:
        return self._loaded.lerobot._check_get_actions_condition()

    def select(self, observation: Seen) -> Tensor:
        with self._unguided():
            batch = self._batch(observation) if self.infers() else {}
            return self._loaded.lerobot.select_action(batch)[0]

    def predict(self, observation: Seen, **guidance: Any) -> Tensor:
        batch = self._batch(observation)
        return self._loaded.lerobot.predict_action_chunk(batch, **guidance)[0]

    def unnormalised(self, actions: Tensor) -> Array:
        return self._loaded.unnormalised(actions)

    def _batch(self, observation: Seen) -> dict[str, Any]:
        return self._loaded.batch(observation.see(), observation.state, self._task)

    @contextmanager
    def _unguided(self) -> Iterator[None]:
        """LeRobot's queue of a policy refuses one whose configuration has real-time chunking."""
        config = self._loaded.lerobot.config.rtc_config
        config.enabled = False
        try:
            yield
        finally:
            config.enabled = True
