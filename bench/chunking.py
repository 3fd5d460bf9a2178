"""How smoothly chunks are executed: our schedule beside LeRobot's queues, in simulated time.

`make bench NAME=chunking`; four minutes. `python bench/chunking.py --seeds 4` is a quick look,
`--first 100` other motions.
What is simulated and what the columns mean: docs/chunking.md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
import torch
from chunks import lerobot_modes
from chunks.document import document, show
from chunks.flow_policy import FlowPolicy, Seen
from chunks.judge import Score, Trace, judge
from chunks.method import RATE, Method, Sent
from chunks.our_modes import Scheduled
from chunks.world import TICKS, TIMINGS, Arm, Motion, Timing

from so101_bringup import figures
from so101_bringup.figures import Figure, at_most, untargeted
from so101_description.joints import JOINTS
from so101_policy.schedule import Mode

SEEDS = 20
FOLDER = Path('build') / 'bench'

# The traces that are drawn: a method each, over the same motion.
DRAWN = ('sync queue', 'async weighted_average', 'RTC, horizon 25', 'our rtc')
DRAWN_TIMING, DRAWN_JOINT, DRAWN_SECONDS = '200 ms +-20 %', 0, (3.0, 8.0)


class Demonstration:
    """Commands the reference: nothing can be smoother and go where the task goes."""

    def __init__(self, motion: Motion, seed: int, durations: Iterator[float]) -> None:
        random = np.random.default_rng((3, seed))
        modes = tuple(random.choice((-1, 1), len(motion.decisions)).tolist())
        self._reference = motion.reference(modes)
        self.changes = list(range(0, TICKS, 10))

    def tick(self, tick: int, observation: Seen) -> Sent:
        return [(0.0, self._reference[tick])]


def _lerobot(name: str, motion: Motion, seed: int, durations: Iterator[float]) -> Method:
    policy = FlowPolicy(motion, seed, guided=name in lerobot_modes.GUIDED)
    return lerobot_modes.METHODS[name](policy, durations)


Maker = Callable[[Motion, int, Iterator[float]], Method]
BASELINES: dict[str, Maker] = {name: partial(_lerobot, name) for name in lerobot_modes.METHODS}
UNGUIDED = [name for name in BASELINES if name not in lerobot_modes.GUIDED]
OURS: dict[str, Maker] = {
    'our sync': partial(Scheduled, mode=Mode.SYNC, guided=False),
    'our ensemble': partial(Scheduled, mode=Mode.ENSEMBLE, guided=False),
    'our rtc, unguided': partial(Scheduled, mode=Mode.RTC, guided=False),
    'our rtc': partial(Scheduled, mode=Mode.RTC, guided=True),
}
METHODS: dict[str, Maker] = {'demonstration': Demonstration} | BASELINES | OURS


def execute(make: Maker, timing: Timing, seed: int) -> Trace:
    motion = Motion(seed)
    method = make(motion, seed, timing.durations(seed))
    arm = Arm(motion.start)
    commands, positions = np.empty((TICKS, 6)), np.empty((TICKS, 6))
    for tick in range(TICKS):
        positions[tick] = arm.position
        commands[tick] = arm.follow(method.tick(tick, Seen(tick, arm.measured())))
    begun, *changes = [change for change in method.changes if change < TICKS]
    return Trace(motion, commands, positions, tuple(changes), begun)


Scores = dict[str, dict[str, Score]]  # by timing and method


def measure(seeds: range) -> tuple[Scores, dict[str, Trace]]:
    """Return the scores, and the traces to be drawn by method."""
    scores: Scores = {}
    drawn = {}
    begun, done, runs = time.monotonic(), 0, len(TIMINGS) * len(METHODS)
    for timing in reversed(TIMINGS):  # the fastest inference is the most work
        scores[timing.name] = {}
        for name, make in METHODS.items():
            traces = [execute(make, timing, seed) for seed in seeds]
            scores[timing.name][name] = judge(traces)
            if name in DRAWN and timing.name == DRAWN_TIMING:
                drawn[name] = traces[0]
            done += 1
            left = (time.monotonic() - begun) * (runs / done - 1)
            print(f'{done} of {runs}, about {left:.0f} s left: {timing.name}, {name}', flush=True)
    return {timing.name: scores[timing.name] for timing in TIMINGS}, drawn


def judged(scores: Scores) -> list[Figure]:
    """Return the figures; simulated time is exact, so that a miss is a failure."""
    found = []
    for timing, of in scores.items():
        ours, name = of['our rtc'], timing.replace(' ', '_')
        best = min(BASELINES, key=lambda baseline: of[baseline].j_mean)
        other: dict[str, Any] = {'baseline_name': best, 'required': True}
        if timing == 'spikes':
            tail = min(BASELINES, key=lambda baseline: of[baseline].j_p95)
            found += [
                at_most('spikes_j_p95', ours.j_p95, 1.5, 'deg', baseline=of[tail].j_p95,
                        **other | {'baseline_name': tail}),
                at_most('spikes_largest', ours.largest, 3.0, 'deg', baseline=of[tail].largest,
                        **other | {'baseline_name': tail}),
                at_most('spikes_stall', ours.stall, 0.5, '%', baseline=of[tail].stall,
                        **other | {'baseline_name': tail}),
                untargeted('spikes_tracking', ours.tracking, 'deg',
                           baseline=of[tail].tracking, baseline_name=tail),
            ]  # fmt: skip
            continue
        plain = min(UNGUIDED, key=lambda baseline: of[baseline].j_mean)
        found += [
            at_most(f'{name}_j_mean', ours.j_mean, of[best].j_mean, 'deg',
                    baseline=of[best].j_mean, **other),
            at_most(f'{name}_tracking', ours.tracking, 2.5, 'deg',
                    baseline=of[best].tracking, **other),
            at_most(f'{name}_stall', ours.stall, 0.0, '%', baseline=of[best].stall, **other),
            at_most(f'{name}_invalid', ours.invalid, 10.0, '%',
                    baseline=of[best].invalid, **other),
            untargeted(f'{name}_j_mean_unguided', of['our rtc, unguided'].j_mean, 'deg',
                       baseline=of[plain].j_mean, baseline_name=plain),
        ]  # fmt: skip
    return found


# What is printed of each timing: the first fields of a score.
PRINTED = ('J mean', 'J p95', 'J arm', 'jerk', 'tracking', 'stall %', 'invalid %', 'largest')


# What docs/chunking.md shows: a table each, and a cell of it.
DOCUMENTED: dict[str, Callable[[Score], str]] = {
    'J mean / p95': lambda score: f'{score.j_mean:.2f} / {score.j_p95:.1f}',
    'Tracking, degrees / stall, % / invalid, %': (
        lambda score: f'{score.tracking:.1f} / {score.stall:.1f} / {score.invalid:.0f}'
    ),
    'Jerk / largest / J arm mean': (
        lambda score: f'{score.jerk:.1f} / {score.largest:.1f} / {score.j_arm_mean:.2f}'
    ),
}


def draw(scores: Scores, drawn: dict[str, Trace], path: Path) -> None:
    """Plot J over the fixed latencies, and a piece of a motion as four methods execute it."""
    figure = plt.figure(figsize=(12, 7), layout='constrained')
    grid = figure.add_gridspec(len(DRAWN), 2)
    axes = figure.add_subplot(grid[:, 0])
    fixed = [timing for timing in TIMINGS if not timing.jitter and not timing.spikes]
    for name in METHODS:
        ours = name in OURS
        axes.semilogy(
            [timing.seconds * 1e3 for timing in fixed],
            [scores[timing.name][name].j_mean for timing in fixed],
            'o-' if ours else 'k:' if name == 'demonstration' else 's--',
            linewidth=2 if ours else 1,
            label=name,
        )
    axes.set(xlabel='inference, ms', ylabel='J mean, degrees per tick$^2$')
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter('{x:g}')
    axes.grid(which='both', alpha=0.3)
    axes.legend(fontsize='small', ncols=2, loc='upper left', bbox_to_anchor=(0, -0.1))
    for row, name in enumerate(DRAWN):
        trace = drawn[name]
        axes = figure.add_subplot(grid[row, 1])
        seconds = np.arange(TICKS) / RATE
        axes.plot(seconds, trace.reference()[:, DRAWN_JOINT], color='0.7', label='reference')
        axes.plot(seconds, trace.commands[:, DRAWN_JOINT], label='command')
        for change in trace.changes:
            axes.axvline(change / RATE, color='C3', linewidth=0.6)
        axes.set(xlim=DRAWN_SECONDS, title=name)
        axes.title.set_fontsize('small')
    axes.set(xlabel=f's; {JOINTS[DRAWN_JOINT]}, degrees; {DRAWN_TIMING}; red: chunk changes')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=SEEDS, help='motions for each method')
    parser.add_argument('--first', type=int, default=0, help='seed of the first of them')
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    torch.set_num_threads(1)
    scores, drawn = measure(seeds)
    for timing, of in scores.items():
        values = {name: list(asdict(score).values())[: len(PRINTED)] for name, score in of.items()}
        show({timing: '{:.2f}'.format}, PRINTED, values)
    draw(scores, drawn, FOLDER / 'chunking.png')
    names = [name.replace('+-', '±') for name in scores]
    rows = {method: [of[method] for of in scores.values()] for method in METHODS}
    (FOLDER / 'chunking.md').write_text(document(DOCUMENTED, names, rows))
    found = judged(scores)
    figures.show('Chunk execution: our rtc', found)
    whole = {t: {n: asdict(score) for n, score in of.items()} for t, of in scores.items()}
    figures.write(FOLDER / 'chunking.json', 'chunking', found, seeds=list(seeds), scores=whole)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
