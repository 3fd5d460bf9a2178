"""lockstep: roll a policy out in simulation without ROS, as fast as this machine computes.

    so101 lockstep outputs/train --rollouts 200
    so101 lockstep outputs/train --modes rtc,sync --latencies 0,100,200,300 --spikes

Simulation, cameras, driver, schedule and policy are those of the graph of nodes, without a clock:
an inference takes as long as --latencies says. It prints a table, and writes lockstep.json.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from so101_evaluation.labels import labels
from so101_evaluation.latency import Latency
from so101_evaluation.lockstep_summary import shown, summary
from so101_evaluation.lockstep_trials import (
    SECONDS,
    SEED,
    Scheduling,
    Setting,
    Trial,
    cores,
    trials,
)
from so101_evaluation.report_writer import as_json, write_whole
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_node.robot_file import Robot
from so101_policy import checkpoint as policy_checkpoint
from so101_policy import defaults
from so101_policy.schedule import Mode
from so101_sim.look import LOOKS

DESCRIPTION = 'Roll a policy out in simulation, without ROS and faster than time: success rates.'

FORM = 1  # of the JSON file: the value of its key 'so101_lockstep'
DATA = 'lockstep.json'

Found = dict[Setting[Scheduling], list[Trial]]


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error, 130 after Ctrl-C."""
    given = _parser().parse_args(words)
    try:
        run(given)
    except KeyboardInterrupt:
        print('lockstep: stopped; nothing was written', file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f'lockstep: {error}', file=sys.stderr)
        sys.exit(1)


def run(given: argparse.Namespace) -> None:
    """Do what the parsed words say. Raises UserError."""
    settings = _settings(given)
    seeds = range(given.seed, given.seed + given.rollouts)
    processes = given.processes or cores()
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    begun = time.monotonic()
    found: Found = {setting: [] for setting in settings}
    with progress_bar(console) as progress:
        bar = progress.add_task('', total=len(settings) * len(seeds))
        for setting, trial in trials(settings, seeds, processes):
            done = found[setting]
            done.append(trial)
            successes = sum(each.success for each in done)
            description = f'{setting.method.mode}, {setting.latency}: {successes} of {len(done)}'
            progress.update(bar, advance=1, description=description)
    seconds = time.monotonic() - begun
    _show(found)
    count = len(settings) * len(seeds)
    console.print(f'{count} rollouts in {seconds:.0f} s: {3600 * count / seconds:,.0f} an hour')
    out = given.out or Path('outputs', 'lockstep')
    write_whole(out / DATA, as_json(_to_json(found, seconds, processes)))
    console.print(f'written: {out / DATA}')


def _settings(given: argparse.Namespace) -> list[Setting[Scheduling]]:
    """Return what is to be tried, in order. Raises UserError for words that make no sense."""
    if given.rollouts < 1:
        raise UserError(f'--rollouts {given.rollouts}: give 1 or more')
    if given.seed < 0:
        raise UserError(f'--seed {given.seed}: give 0 or more')
    if given.interval < 1:
        raise UserError(f'--interval {given.interval}: give 1 or more')
    if given.processes < 0:
        raise UserError(f'--processes {given.processes}: give 0 or more')
    if not 0 < given.episode_time <= 600:
        raise UserError(f'--episode-time {given.episode_time:g}: give up to 600 s')
    modes = [_mode(word) for word in given.modes.split(',')]
    latencies = [Latency(seconds) for seconds in _seconds(given.latencies)]
    if given.spikes:
        latencies.append(Latency(latencies[-1].seconds, spikes=True))
    checkpoints = [policy_checkpoint.read(path) for path in given.checkpoints]
    for checkpoint in checkpoints:
        if given.interval > checkpoint.chunk_size:
            raise UserError(
                f'--interval {given.interval}: a chunk of {checkpoint.path} has '
                f'{checkpoint.chunk_size} actions'
            )
    settings = (
        Setting(
            checkpoint.path,
            Scheduling(mode, given.interval),
            latency,
            given.episode_time,
            given.task,
            given.look,
        )
        for checkpoint, mode, latency in itertools.product(checkpoints, modes, latencies)
    )
    return list(dict.fromkeys(settings))


def _mode(word: str) -> Mode:
    try:
        return Mode(word.strip())
    except ValueError as error:
        raise UserError(f'--modes {word}: known are {", ".join(Mode)}') from error


def _seconds(text: str) -> list[float]:
    try:
        return [float(word) / 1e3 for word in text.split(',')]
    except ValueError as error:
        raise UserError(f'--latencies {text}: give milliseconds, such as 0,100,200,300') from error


def _show(found: Found) -> None:
    names = labels(str(setting.checkpoint) for setting in found)
    table = Table(title='Rollouts in lockstep', title_justify='left')
    for column in ('checkpoint', 'mode', 'latency'):
        table.add_column(column)
    for column in ('success', '95 %', 'seconds', 'jump, degrees', 'jerk, degrees'):
        table.add_column(column, justify='right')
    for setting, done in found.items():
        said = summary(done)
        interval = said['rate_interval']
        table.add_row(
            names[str(setting.checkpoint)],
            setting.method.mode,
            str(setting.latency),
            f'{100 * said["rate"]:.1f} % ({said["successes"]} of {said["rollouts"]})',
            f'{100 * interval["low"]:.1f} to {100 * interval["high"]:.1f}',
            shown(said['success_seconds']),
            shown(said['jump']),
            shown(said['jerk']),
        )
    Console(width=120, markup=False).print(table)


def _to_json(found: Found, seconds: float, processes: int) -> dict[str, Any]:
    return {
        'so101_lockstep': FORM,
        'made': datetime.now().astimezone().isoformat(timespec='seconds'),
        'wall_seconds': seconds,
        'processes': processes,
        'settings': [
            {
                'checkpoint': str(setting.checkpoint),
                'mode': setting.method.mode,
                'latency_s': setting.latency.seconds,
                'spikes': setting.latency.spikes,
                'interval': setting.method.interval,
                'episode_time': setting.seconds,
                'task': setting.task,
                'look': setting.look,
                **summary(done),
                'trials': [asdict(trial) for trial in done],
            }
            for setting, done in found.items()
        ],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='lockstep', description=DESCRIPTION)
    parser.add_argument('checkpoints', type=Path, nargs='+', metavar='CHECKPOINT')
    parser.add_argument(
        '--rollouts', type=int, default=200, help='of each setting; default: %(default)s'
    )
    parser.add_argument(
        '--seed', type=int, default=SEED, help='of the first place; default: %(default)s'
    )
    parser.add_argument(
        '--modes',
        default=defaults.MODE.value,
        help=f'{", ".join(Mode)}, separated by commas; default: %(default)s',
    )
    parser.add_argument(
        '--latencies', default='0', metavar='MS', help='from frame to chunk; default: 0'
    )
    parser.add_argument(
        '--spikes', action='store_true', help='the last latency also with some 0.9 s longer'
    )
    parser.add_argument(
        '--interval',
        type=int,
        default=defaults.INTERVAL,
        help='actions from frame to frame; default: %(default)s',
    )
    parser.add_argument(
        '--episode-time', type=float, default=SECONDS, metavar='S', help='default: %(default)g'
    )
    parser.add_argument(
        '--look',
        choices=LOOKS,
        default='fixed',
        help='varied: each place with other light, colours and camera poses; default: fixed',
    )
    parser.add_argument('--task', default=Robot().task, help='what the policy is told')
    parser.add_argument(
        '--processes', type=int, default=0, help='0: one for each core; default: %(default)s'
    )
    parser.add_argument('--out', type=Path, help='folder; default: outputs/lockstep')
    return parser


if __name__ == '__main__':
    main()
