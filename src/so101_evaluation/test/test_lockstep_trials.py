"""A trial in lockstep shows the policy the look of its seed, if looks are varied."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from so101_driver.trajectory import Trajectory
from so101_evaluation.latency import Latency
from so101_evaluation.lockstep_trials import Setting, trial
from so101_evaluation.simulated_rollout import Images

if TYPE_CHECKING:
    from so101_policy.loaded_policy import LoadedPolicy

Array = NDArray[np.float64]


class Watching:
    """Looks at the first frame, and never moves the arm."""

    due = math.inf

    def __init__(self) -> None:
        self.changes: list[int] = []
        self.seen: Images | None = None

    def begin(self, now: int, reference: Array) -> None:
        pass

    def frame(self, now: int, state: Array, see: Callable[[], Images]) -> Trajectory | None:
        if self.seen is None:
            self.seen = see()
        return None

    def proceed(self, now: int) -> Trajectory | None:
        raise AssertionError('it is never due')


@dataclass(frozen=True)
class Watch:
    """The method of watching; `watched` are those who did."""

    watched: list[Watching] = field(default_factory=list, compare=False)

    def execution(
        self, policy: 'LoadedPolicy', task: str, latencies: Iterator[float]
    ) -> Watching:
        self.watched.append(Watching())
        return self.watched[-1]


def seen(checkpoint: Path, seed: int, look: str) -> Images:
    watch = Watch()
    trial(Setting(checkpoint, watch, Latency(0.0), 0.1, 'task', look), seed)
    images = watch.watched[0].seen
    assert images is not None
    return images


def test_each_seed_has_its_look_and_the_same_again(checkpoint: Path) -> None:
    fixed = seen(checkpoint, 3, look='fixed')
    varied = seen(checkpoint, 3, look='varied')
    other = seen(checkpoint, 4, look='varied')
    # Wall, table and floor are most of an image: means move with light and colours alone.
    means = [images.mean(axis=(1, 2)) for images in (fixed, varied, other)]
    assert all(np.abs(a - b).max() > 2 for a, b in zip(means, means[1:], strict=False))
    assert np.array_equal(seen(checkpoint, 3, look='varied'), varied)
    assert np.array_equal(seen(checkpoint, 3, look='fixed'), fixed)
