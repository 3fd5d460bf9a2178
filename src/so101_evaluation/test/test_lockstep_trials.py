"""Trials in lockstep: the look of each seed, and the processes that they run in."""

import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from so101_driver.trajectory import Trajectory
from so101_evaluation.latency import Latency
from so101_evaluation.lockstep_trials import Scheduling, Setting, trial, trials
from so101_evaluation.simulated_rollout import Images
from so101_policy.schedule import Mode

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

    def execution(self, policy: 'LoadedPolicy', task: str, latencies: Iterator[float]) -> Watching:
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
    assert all(np.abs(a - b).max() > 2 for a, b in itertools.pairwise(means))
    assert np.array_equal(seen(checkpoint, 3, look='varied'), varied)
    assert np.array_equal(seen(checkpoint, 3, look='fixed'), fixed)


def test_one_that_is_stopped_ends_its_own_processes_and_no_others(checkpoint: Path) -> None:
    other = multiprocessing.get_context('spawn').Process(target=time.sleep, args=(600,))
    other.start()
    try:
        before = set(multiprocessing.active_children())
        setting = Setting(checkpoint, Scheduling(Mode.RTC, 10), Latency(0.0), 1.0, 'task')
        going: Any = trials([setting], range(100), processes=2)
        next(going)
        assert len(set(multiprocessing.active_children()) - before) == 2
        going.close()
        assert set(multiprocessing.active_children()) == before
    finally:
        other.kill()
        other.join()
