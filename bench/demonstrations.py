"""How success depends on the number of demonstrations, and on the steps of the training.

`make bench NAME=demonstrations`; hours. Of the dataset that `make pipeline` made, the first 25,
75, 150 and all demonstrations are trained on, by the pipeline's recipe, and checkpoints on the way
are rolled out in lockstep from starts that no demonstration had. A run that was stopped goes on
when it is called again; without the folder outputs/demonstrations it begins anew.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from chunks import rates
from chunks.document import document, show

from so101_bringup import figures
from so101_bringup.figures import untargeted
from so101_bringup.pipeline import lock, parameters, process
from so101_bringup.pipeline.folder import Folder
from so101_evaluation.latency import Latency
from so101_evaluation.lockstep_summary import summary
from so101_evaluation.lockstep_trials import (
    SECONDS,
    Scheduling,
    Setting,
    Trial,
    cores,
    trials,
)
from so101_evaluation.report_writer import write_whole
from so101_node.error import UserError
from so101_node.robot_file import Robot
from so101_policy import checkpoint, defaults, json_object
from so101_training.conversion.manifest import CONVERSION, Conversion

FEWER = (25, 75, 150)
STEPS = 6000
EVERY = 2000  # steps, from one checkpoint that is rolled out to the next
ROLLOUTS = 200
# Others than those by which the recipe was chosen, which begin with 1,000,000.
SEED = 2_000_000
LATENCY = Latency(0.1)

PIPELINE = Path('outputs') / 'pipeline'
TRAININGS = Path('outputs') / 'demonstrations'
FOLDER = Path('build') / 'bench'

Cell = tuple[int, int]  # a number of demonstrations, and of steps
Said = dict[Cell, dict[str, Any]]  # what the trials of a cell say together


def train(pipeline: Folder, number: int, steps: int, held: int) -> Path:
    """Train on the first demonstrations of a dataset, or go on; return the run's folder.

    `held`: the descriptor of the lock on TRAININGS. Raises UserError when that fails, or when the
    run there is another one, and process.Stopped.
    """
    run = TRAININGS / str(number)
    recipe = {**parameters.defaults()['training'], 'steps': steps, 'save_freq': EVERY}
    of = {'recipe': recipe, 'dataset': json_object.read(pipeline.dataset / CONVERSION)}
    origin = run.with_suffix('.json')
    if (run / 'checkpoints' / 'last').is_dir():
        if not origin.is_file() or json_object.read(origin) != json.loads(json.dumps(of)):
            raise UserError(
                f'{run} was trained on another dataset, or otherwise; move {TRAININGS} away'
            )
        if (run / 'checkpoints' / f'{steps:06d}').is_dir():
            return run
        words = ['so101', 'train', '--resume-from', str(run)]
    else:
        shutil.rmtree(run, ignore_errors=True)  # stopped before its first checkpoint
        write_whole(origin, json.dumps(of))
        first = json.dumps(list(range(number))).replace(' ', '')
        words = ['so101', 'train', '--dataset', str(pipeline.dataset), '--out', str(run)]
        words += [f'policy={pipeline.policy}', f'dataset.episodes={first}']
        words += parameters.training_words(recipe)
    print(shlex.join(words), flush=True)
    if code := process.run(words, held, lambda: None):
        raise UserError(f'the training on {number} demonstrations ended with code {code}')
    return run


def roll_out(run: Path, seeds: Sequence[int], processes: int) -> dict[int, list[Trial]]:
    """Return the trials of each checkpoint of a run, by its step; those kept in it are read."""
    method = Scheduling(defaults.MODE, defaults.INTERVAL)
    found: dict[int, list[Trial]] = {}
    for folder in sorted((run / 'checkpoints').glob('[0-9]*')):
        step = int(folder.name)
        if step % EVERY:
            continue  # where it was stopped
        kept = folder / 'rollouts.json'
        of = {'seeds': list(seeds), 'latency': str(LATENCY)}
        said = json_object.read(kept) if kept.is_file() else {}
        if {key: said.get(key) for key in of} != of:
            setting = Setting(checkpoint.find(folder), method, LATENCY, SECONDS, Robot().task)
            done = [asdict(trial) for _, trial in trials([setting], seeds, processes)]
            said = of | {'trials': done}
            write_whole(kept, json.dumps(said))
        found[step] = [Trial(**trial) for trial in said['trials']]
        successes = sum(trial.success for trial in found[step])
        print(f'{run}, step {step:,}: {successes} of {len(seeds)}', flush=True)
    return found


def rows(said: Said) -> dict[str, list[dict[str, Any]]]:
    """Return what each number of demonstrations has after so many steps."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, step in sorted(said):
        found.setdefault(f'{number} demonstrations', []).append(said[number, step])
    return found


def draw(said: Said, path: Path) -> None:
    """Plot success over the steps, a line a number, and over the numbers, a line a step."""
    named = 'demonstrations', 'steps'
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout='constrained')
    for axes, line, along in zip(both, (0, 1), (1, 0), strict=True):
        for value in sorted({cell[line] for cell in said}):
            cells = sorted(cell for cell in said if cell[line] == value)
            heights, bars = rates.percent([said[cell] for cell in cells])
            places = [cell[along] for cell in cells]
            label = f'{value:,} {named[line]}'
            axes.errorbar(places, heights, bars, fmt='o-', capsize=3, label=label)
        axes.set_xlabel(named[along])
        axes.legend(loc='lower right', fontsize='small')
        axes.grid(alpha=0.3)
    both[0].set(ylabel='success, %, with 95 % intervals', ylim=(0, 101))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def measure(pipeline: Folder, steps: int, seeds: Sequence[int], processes: int) -> Said:
    """Train and roll out. Raises UserError and process.Stopped."""
    if min(len(seeds), processes) < 1 or steps < EVERY or steps % EVERY:
        raise UserError(f'give --rollouts and --processes from 1 on, --steps in {EVERY}s')
    if not (pipeline.dataset / CONVERSION).is_file() or not pipeline.policy.is_dir():
        raise UserError(f'no dataset or policy in {pipeline.path}: first run make pipeline')
    total = len(Conversion.load(pipeline.dataset).episodes)
    if total <= max(FEWER):
        raise UserError(
            f'{pipeline.dataset} has {total} demonstrations, and more than {max(FEWER)} are to be '
            f'compared: ./so101 pipeline demonstrations=300 out={pipeline.path}'
        )
    said: Said = {}
    with lock.held(TRAININGS, print) as held:
        for number in (*FEWER, total):
            run = train(pipeline, number, steps, held)
            done = roll_out(run, seeds, processes)
            said |= {(number, step): summary(found) for step, found in done.items()}
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pipeline', default=str(PIPELINE), help='whose dataset and policy')
    parser.add_argument('--steps', type=int, default=STEPS, help='of each training')
    parser.add_argument('--rollouts', type=int, default=ROLLOUTS, help='of each checkpoint')
    parser.add_argument('--processes', type=int, default=cores())
    given = parser.parse_args()
    seeds = range(SEED, SEED + given.rollouts)
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    try:
        said = measure(Folder(given.pipeline), given.steps, seeds, given.processes)
    except UserError as error:
        sys.exit(f'demonstrations: {error}')
    except (process.Stopped, KeyboardInterrupt):
        sys.exit('demonstrations: stopped; the same command goes on')
    names = [f'{step:,} steps' for step in sorted({step for _, step in said})]
    shown = ({rates.TITLE: rates.text}, names, rows(said), 'trained on')
    show(*shown)
    draw(said, FOLDER / 'demonstrations.png')
    (FOLDER / 'demonstrations.md').write_text(document(*shown))
    fewest = said[FEWER[0], given.steps]
    found = [
        untargeted(
            f'success_of_{number}_demonstrations',
            100 * said[number, step]['rate'],
            '%',
            interval=tuple(100 * said[number, step]['rate_interval'][e] for e in ('low', 'high')),
            baseline=100 * fewest['rate'],
            baseline_name=f'{FEWER[0]} demonstrations',
        )
        for number, step in said
        if step == given.steps
    ]
    figures.show('Success by demonstrations', found)
    figures.write(
        FOLDER / 'demonstrations.json',
        'demonstrations',
        found,
        seeds=[seeds.start, seeds.stop],
        cells=[
            {'demonstrations': number, 'steps': step, **values}
            for (number, step), values in said.items()
        ],
    )


if __name__ == '__main__':
    main()
