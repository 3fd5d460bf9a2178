"""The expert in lockstep: how often it does the task, and how long a demonstration takes.

`make bench NAME=expert`; three minutes on two cores. The baseline is the same hand, which takes
the same cubes to be OFF beside where they are, in any direction. The seeds are used nowhere else.
"""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np

from so101_bringup import figures
from so101_bringup.figures import Figure, at_least, at_most, exactly, untargeted
from so101_driver.calibration_file import load
from so101_evaluation.statistics import Tally
from so101_sim import scene
from so101_sim.hand import Waves
from so101_sim.mounting import calibration_path
from so101_sim.rehearsal import Rehearsal, rehearse

CUBES = range(600_000, 600_200)
STARTS = range(610_000, 610_100)
OFF = 0.015  # m: a cube is 25 mm wide
BASELINE = f'the cube taken to be {1000 * OFF:.0f} mm beside its place'
CALIBRATION = calibration_path()


class Trial(NamedTuple):
    """A rehearsal of this seed, from home or from where waves of the seed begin.

    `off`: metres between the cube and where the hand takes it to be.
    """

    seed: int
    from_home: bool = True
    off: float = 0.0


@cache
def _model() -> mujoco.MjModel:
    """Return that of this process."""
    return scene.build()


def tried(trial: Trial) -> Rehearsal:
    start = None if trial.from_home else Waves(trial.seed).pose(0.0)
    direction = np.random.default_rng(trial.seed).uniform(0, 2 * np.pi)
    off = (trial.off * np.cos(direction), trial.off * np.sin(direction))
    return rehearse(_model(), load(CALIBRATION), trial.seed, start, off)


def measured(pool: ProcessPoolExecutor, name: str, trials: Sequence[Trial]) -> list[Rehearsal]:
    """Rehearse, and say what failed."""
    ended = list(pool.map(tried, trials))
    for trial, one in zip(trials, ended, strict=True):
        if not one.success and not trial.off:
            print(f'{name}: no success with seed {trial.seed} {one.said}'.rstrip())
    return ended


def rates(name: str, ended: Sequence[Rehearsal], baseline: float | None = None) -> list[Figure]:
    """Return the success rate with its interval, Wilson's of 95 %."""
    tally = Tally.of('success' if one.success else 'failure' for one in ended)
    assert tally.rate is not None and tally.interval is not None
    beside = {} if baseline is None else {'baseline': baseline, 'baseline_name': BASELINE}
    within = {'required': True, 'interval': (tally.interval.low, tally.interval.high)}
    return [at_least(f'{name}_success_rate', tally.rate, 0.99, '', **within, **beside)]


def main() -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        expert = measured(pool, 'from home', [Trial(seed) for seed in CUBES])
        elapsed = time.monotonic() - began
        elsewhere = measured(pool, 'from elsewhere', [Trial(seed, False) for seed in STARTS])
        astray = measured(pool, 'astray', [Trial(seed, off=OFF) for seed in CUBES])
    seconds = [one.seconds for one in expert if one.success]
    found = [
        *rates('expert', expert, baseline=float(np.mean([one.success for one in astray]))),
        *rates('expert_from_elsewhere', elsewhere),
        exactly(
            'refused_by_the_driver', sum(bool(one.said) for one in expert + elsewhere), 0, '',
            required=True,
        ),
        at_most('demonstration_seconds_p95', float(np.percentile(seconds, 95)), 10.0, 's'),
        untargeted('demonstration_seconds_mean', float(np.mean(seconds)), 's'),
        untargeted('demonstrations_per_second', len(CUBES) / elapsed, '1/s in lockstep'),
    ]  # fmt: skip
    figures.show('The expert', found)
    figures.write(Path('build') / 'bench' / 'expert.json', 'expert', found)
    if figures.failed(found):
        sys.exit(1)


if __name__ == '__main__':
    main()
