"""Many rollouts in lockstep: one after the other in each of some processes.

A process makes the scene, its renderer and the policy once. The same seed gives the same rollout,
in whatever process and order.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from so101_evaluation.latency import Latency
from so101_evaluation.simulated_rollout import FPS, Execution, Images, Scheduled, roll_out
from so101_evaluation.smoothness import smoothness
from so101_node.error import UserError
from so101_node.lifetime import signal_with_parent
from so101_policy import checkpoint, defaults
from so101_policy.pilot import Pilot
from so101_policy.schedule import Guidance, Mode, Schedule
from so101_sim.lockstep import Lockstep
from so101_sim.look import Look, look
from so101_sim.mounting import calibration_path

if TYPE_CHECKING:
    from so101_policy.loaded_policy import LoadedPolicy  # seconds of imports

Array = NDArray[np.float64]

# Of the first rollout. Demonstrations count theirs up from 0: none of them has these.
SEED = 1_000_000

SECONDS = 15.0  # of a rollout without success, unless somebody says otherwise


class Method(Protocol):
    """A way to execute chunks; it is sent to the processes."""

    def execution(
        self, policy: 'LoadedPolicy', task: str, latencies: Iterator[float]
    ) -> Execution:
        """Return what executes the chunks of one rollout; `latencies` in seconds."""


@dataclass(frozen=True)
class Scheduling:
    """The policy node's way; `interval` in actions from frame to frame."""

    mode: Mode
    interval: int

    def execution(
        self, policy: 'LoadedPolicy', task: str, latencies: Iterator[float]
    ) -> Execution:
        fps = policy.checkpoint.fps or FPS
        schedule = Schedule(fps, self.mode, defaults.LIMITS, self.interval)

        def predict(images: Images, state: Array, guidance: Guidance | None = None) -> Array:
            return policy.predict(images, state, task, guidance)

        guided = policy.guided and self.mode is Mode.RTC
        return Scheduled(Pilot(schedule, fps), predict, latencies, guided)


@dataclass(frozen=True)
class Setting[M: Method]:
    """What is rolled out: a checkpoint's folder, and how its chunks are executed.

    `seconds` is when a rollout without success ends; `look` is one of so101_sim.look.LOOKS.
    """

    checkpoint: Path
    method: M
    latency: Latency
    seconds: float
    task: str
    look: str = 'fixed'


@dataclass(frozen=True)
class Trial:
    """How the rollout of a seed went; see simulated_rollout.Rollout.

    `cube`, `end`: where the cube lay at first and at last, x and y in metres. `jump`, `jerk`:
    degrees per tick^2 and per tick^3, see smoothness.py; no `jump` without a change of chunks.
    """

    seed: int
    success: bool
    seconds: float
    held: str
    cube: tuple[float, float]
    end: tuple[float, float]
    chunks: int
    jump: float | None
    jerk: float


def trials[M: Method](
    settings: Sequence[Setting[M]], seeds: Sequence[int], processes: int
) -> Iterator[tuple[Setting[M], Trial]]:
    """Yield the trials of each setting, those of its seeds, in that order.

    Raises UserError for an unusable checkpoint, and when a process was killed.
    """
    jobs = list(product(settings, seeds))
    if processes == 1:
        yield from ((setting, trial(setting, seed)) for setting, seed in jobs)
        return
    # A process that was forked would share OpenGL's state and torch's threads with this one.
    spawn = multiprocessing.get_context('spawn')
    others = set(multiprocessing.active_children())  # of whoever calls this
    pool = ProcessPoolExecutor(processes, spawn, initializer=_belong)
    try:
        done = pool.map(trial, *zip(*jobs, strict=True))
        yield from zip((setting for setting, _ in jobs), done, strict=True)
    except BrokenProcessPool as error:
        raise UserError(
            'a process of the rollouts was killed, maybe for lack of memory: try --processes 1'
        ) from error
    except BaseException:  # Ctrl-C, for one: the pool would end its rollouts first
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _belong() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_with_parent(signal.SIGKILL)


def trial(setting: Setting[Method], seed: int) -> Trial:
    """Roll the policy out from the place of a seed."""
    import torch

    stage = _stage()
    stage.wear(look(seed) if setting.look == 'varied' else Look())
    policy = _policy(setting.checkpoint)
    torch.manual_seed(seed)  # of the noise that a flow policy begins with
    policy.reset()
    simulation = Lockstep(stage.model, stage.calibration, seed)
    execution = setting.method.execution(policy, setting.task, setting.latency.draws(seed))
    cube, _ = simulation.cube
    rollout = roll_out(simulation, stage.see, execution, setting.seconds)
    end, _ = simulation.cube
    jump, jerk = smoothness(rollout.references, rollout.changes)
    return Trial(
        seed,
        rollout.success,
        rollout.seconds,
        rollout.held,
        cube,
        end,
        len(rollout.changes),
        jump,
        jerk,
    )


class _Stage:
    """A scene and its cameras."""

    def __init__(self) -> None:
        from so101_description.cameras import CAMERAS
        from so101_driver import calibration_file
        from so101_sim import scene
        from so101_sim.renderer import Renderer

        self.model = scene.build()
        self.calibration = calibration_file.load(calibration_path())
        self._renderer = Renderer(self.model)
        self._cameras = tuple(CAMERAS)

    def wear(self, look: Look) -> None:
        """Show the scene in a look from now on."""
        self._renderer.wear(look)

    def see(self, positions: Array) -> Images:
        self._renderer.place(positions)
        return np.stack([self._renderer.image(camera) for camera in self._cameras])


@cache
def _stage() -> _Stage:
    return _Stage()


@cache
def _policy(folder: Path) -> 'LoadedPolicy':
    from so101_policy.loaded_policy import LoadedPolicy

    with redirect_stdout(None):  # LeRobot prints what it loads, into the progress bar
        return LoadedPolicy(checkpoint.read(folder), 'cpu', threads=1)


def cores() -> int:
    """Return how many processes this machine has cores for."""
    return len(os.sched_getaffinity(0))
