"""How often the task succeeds, and how smoothly, by how chunks are executed and how late they are.

`make bench NAME=success`; hours. `python bench/success.py --rollouts 10` is a quick look, and with
`--resume` one that was stopped goes on. A trained policy puts the cube into the bowl in lockstep,
its chunks executed by our modes and by LeRobot's. What is simulated: docs/chunking.md.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from chunks import rates
from chunks.document import document, show
from chunks.in_lockstep import LeRobot
from matplotlib.axes import Axes

from so101_bringup import figures
from so101_bringup.figures import Figure, at_most, sampled_at_least, untargeted
from so101_evaluation.latency import Latency
from so101_evaluation.lockstep_summary import shown, summary
from so101_evaluation.lockstep_trials import (
    SECONDS,
    SEED,
    Method,
    Scheduling,
    Setting,
    Trial,
    cores,
    trials,
)
from so101_evaluation.report_writer import write_whole
from so101_evaluation.statistics import Tally, difference
from so101_node.error import UserError
from so101_node.robot_file import Robot
from so101_policy import checkpoint as policy_checkpoint
from so101_policy import defaults
from so101_policy.checkpoint import WEIGHTS, Checkpoint
from so101_policy.schedule import Mode

CHECKPOINT = Path('src/so101_policy/checkpoints/smolvla_cube')
ROLLOUTS = 100

FOLDER = Path('build') / 'bench'
KEPT = Path('build') / 'success' / 'cells.json'

BASELINES = ('sync queue', 'temporal ensembling', 'RTC, horizon 10', 'RTC, horizon 25')
METHODS: dict[str, Method] = {name: LeRobot(name) for name in BASELINES} | {
    f'our {mode}': Scheduling(mode, defaults.INTERVAL)
    for mode in (Mode.SYNC, Mode.ENSEMBLE, Mode.RTC)
}
OURS = 'our rtc'
SYNCHRONOUS = ('sync queue', 'our sync')

FIXED = [Latency(milliseconds / 1e3) for milliseconds in (0, 100, 200, 300)]
LATENCIES = [*FIXED, Latency(0.2, spikes=True)]

# By how many points ours may succeed less often at the longest latency than the better one of the
# synchronous ones does without any.
WITHIN = 5.0

Cell = tuple[str, str]  # a latency and a method
Cells = dict[Cell, list[Trial]]
Said = dict[Cell, dict[str, Any]]  # what the trials of a cell say together
ALL: list[Cell] = [(str(latency), name) for latency in LATENCIES for name in METHODS]


def measure(found: Checkpoint, seeds: Sequence[int], processes: int, resume: bool) -> Cells:
    """Return the trials of each cell; they are kept as soon as a cell is complete."""
    weights = hashlib.sha256((found.path / WEIGHTS).read_bytes()).hexdigest()
    of = {'weights': weights, 'seeds': list(seeds)}
    cells = _kept(of) if resume else {}
    missing: dict[Setting[Method], Cell] = {
        Setting(found.path, method, latency, SECONDS, Robot().task): (str(latency), name)
        for latency in LATENCIES
        for name, method in METHODS.items()
        if (str(latency), name) not in cells
    }
    begun, count = time.monotonic(), 0
    done: list[Trial] = []
    for setting, trial in trials(list(missing), seeds, processes):
        done.append(trial)
        if len(done) < len(seeds):
            continue
        latency, name = missing[setting]
        cells[latency, name], done = done, []
        _keep(of, cells)
        count += 1
        minutes = (time.monotonic() - begun) / 60 * (len(missing) / count - 1)
        successes = sum(trial.success for trial in cells[latency, name])
        print(
            f'{len(cells)} of {len(ALL)}, about {minutes:.0f} min left: {latency}, {name}: '
            f'{successes} of {len(seeds)}',
            flush=True,
        )
    return {cell: cells[cell] for cell in ALL}


def _keep(of: dict[str, Any], cells: Cells) -> None:
    values = [[*cell, [asdict(trial) for trial in done]] for cell, done in cells.items()]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    write_whole(KEPT, json.dumps(of | {'cells': values}))


def _kept(of: dict[str, Any]) -> Cells:
    """Return the cells that were measured. Raises UserError for those of another bench."""
    try:
        values = json.loads(KEPT.read_text())
    except FileNotFoundError as error:
        raise UserError(f'--resume: there is no {KEPT}; leave it out') from error
    cells = values.pop('cells')
    if values != of:
        raise UserError(f'--resume: {KEPT} is of other seeds or weights; leave it out')
    try:
        return {
            (latency, name): [Trial(**trial) for trial in done]
            for latency, name, done in cells
            if (latency, name) in ALL
        }
    except TypeError as error:
        raise UserError(f'--resume: {KEPT} is of an earlier form; leave it out') from error


def judged(said: Said) -> list[Figure]:
    """Return the figures; time is simulated, so that a miss is a failure.

    A rate is a sample: it is too low when all of its difference's interval is.
    """
    first, last = str(FIXED[0]), str(FIXED[-1])
    reference = max(SYNCHRONOUS, key=lambda name: said[first, name]['rate'])
    wanted = 100 * said[first, reference]['rate']

    def best(latency: str, key: str, choose: Callable[..., str]) -> dict[str, Any]:
        """Return the baseline that is best by a key, as a figure takes it."""
        known = [name for name in BASELINES if said[latency, name][key] is not None]
        name = choose(known, key=lambda name: said[latency, name][key])
        return {'baseline': said[latency, name][key], 'baseline_name': name}

    less = difference(_tally(said[first, reference]), _tally(said[last, OURS]))
    assert less is not None
    rate = best(last, 'rate', max)
    found = [
        sampled_at_least(
            f'{_name(last)}_success_less_{reference}_at_{_name(first)}'.replace(' ', '_'),
            100 * less.value,
            -WITHIN,
            'points',
            (100 * less.interval.low, 100 * less.interval.high),
            required=True,
            reason='within its interval',
            baseline_name=rate['baseline_name'],
            baseline=100 * rate['baseline'] - wanted,
        )
    ]
    for latency in map(str, LATENCIES):
        ours, name = said[latency, OURS], _name(latency)
        rate = best(latency, 'rate', max)
        found.append(
            untargeted(
                f'{name}_success',
                100 * ours['rate'],
                '%',
                **rate | {'baseline': 100 * rate['baseline']},
            )
        )
        for key, unit in (('jump', 'deg/tick^2'), ('jerk', 'deg/tick^3')):
            other = best(latency, key, min)
            limit = other['baseline']
            found.append(at_most(f'{name}_{key}', ours[key], limit, unit, required=True, **other))
    return found


def _tally(said: dict[str, Any]) -> Tally:
    return Tally(said['successes'], said['rollouts'] - said['successes'])


def _name(latency: str) -> str:
    return latency.replace(' ', '_')


# What the tables show: a title, and a cell.
SHOWN: dict[str, Callable[[dict[str, Any]], str]] = {
    rates.TITLE: rates.text,
    'Jump / jerk': lambda said: f'{shown(said["jump"])} / {shown(said["jerk"])}',
    'Seconds of a success / held by a fault': lambda said: (
        f'{shown(said["success_seconds"])} / {said["held"]}'
    ),
}


def rows(said: Said) -> dict[str, list[dict[str, Any]]]:
    """Return what each method has at each latency."""
    return {name: [said[str(latency), name] for latency in LATENCIES] for name in METHODS}


# Where the latencies stand in the plots, ms; those with spikes stand apart.
PLACES = [*(1e3 * latency.seconds for latency in FIXED), 420.0]
TICKS = [str(latency).replace(' ms', '').replace(' with', '\nwith') for latency in LATENCIES]


def draw(said: Said, path: Path) -> None:
    """Plot success, jump and jerk over latency."""
    figure, (success, *smoothness) = plt.subplots(1, 3, figsize=(13, 5), layout='constrained')
    for index, (name, row) in enumerate(rows(said).items()):
        percent, bars = rates.percent(row)
        beside = 4.0 * (index - (len(METHODS) - 1) / 2)  # the bars do not cover each other
        _plot(success, name, [place + beside for place in PLACES], percent, bars)
        for axes, key in zip(smoothness, ('jump', 'jerk'), strict=True):
            values = [float('nan') if each[key] is None else each[key] for each in row]
            _plot(axes, name, PLACES, values)
    success.set(title='success, %', ylim=(0, 101))
    smoothness[0].set(title='jump, degrees per tick$^2$', yscale='log')
    smoothness[1].set(title='jerk, degrees per tick$^3$', yscale='log')
    for axes in (success, *smoothness):
        axes.set(xlabel='inference, ms')
        axes.set_xticks(PLACES, TICKS)
        axes.grid(which='both', alpha=0.3)
    for axes in smoothness:
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter('{x:g}')
    handles, names = success.get_legend_handles_labels()
    figure.legend(handles, names, loc='outside lower center', ncols=len(METHODS), fontsize='small')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _plot(
    axes: Axes,
    name: str,
    places: Sequence[float],
    values: Sequence[float],
    bars: Sequence[Sequence[float]] | None = None,
) -> None:
    """Draw a method's values; the last, that with spikes, is not joined to the others."""
    ours = name not in BASELINES
    for part, label in ((slice(0, -1), name), (slice(-1, None), None)):
        axes.errorbar(
            places[part],
            values[part],
            None if bars is None else [row[part] for row in bars],
            color=f'C{list(METHODS).index(name)}',
            fmt='o-' if ours else 's--',
            linewidth=2 if name == OURS else 1,
            markersize=4,
            capsize=2,
            label=label,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--checkpoint', type=Path, default=CHECKPOINT, help='a SmolVLA')
    parser.add_argument('--rollouts', type=int, default=ROLLOUTS, help='of each cell')
    parser.add_argument('--first', type=int, default=SEED, help='seed of the first of them')
    parser.add_argument('--processes', type=int, default=cores())
    parser.add_argument('--resume', action='store_true', help='keep the cells that are complete')
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.rollouts)
    try:
        if min(given.rollouts, given.processes) < 1 or given.first < 0:
            raise UserError('give --rollouts and --processes from 1 on, --first from 0 on')
        found = policy_checkpoint.read(given.checkpoint)
        if found.type != 'smolvla':
            raise UserError(f'{found.path}: of type {found.type}, which is no smolvla')
        cells = measure(found, seeds, given.processes, given.resume)
    except UserError as error:
        sys.exit(f'success: {error}')
    said = {cell: summary(done) for cell, done in cells.items()}
    columns = list(map(str, LATENCIES))
    show(SHOWN, columns, rows(said))
    draw(said, FOLDER / 'success.png')
    (FOLDER / 'success.md').write_text(document(SHOWN, columns, rows(said)))
    judgement = judged(said)
    figures.show('The task: our rtc', judgement)
    figures.write(
        FOLDER / 'success.json',
        'success',
        judgement,
        checkpoint=str(given.checkpoint),
        seeds=list(seeds),
        cells=[
            {'latency': latency, 'method': name, **values}
            for (latency, name), values in said.items()
        ],
    )
    sys.exit(bool(figures.failed(judgement)))


if __name__ == '__main__':
    main()
