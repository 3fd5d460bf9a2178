"""`so101 demo`: rollouts in simulation, and a summary of figures that says whether all is well."""

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from so101_bringup import figures, runner
from so101_bringup.bag_counts import miscounted
from so101_bringup.figures import (
    Figure,
    at_least,
    at_most,
    exactly,
    sampled_at_least,
    untargeted,
)
from so101_bringup.graphs import INFER
from so101_bringup.health_log import HealthLog
from so101_bringup.wiring import ROBOT, NodeSpec, Value, Wiring, environment, share
from so101_description.cameras import CAMERAS
from so101_episodes.episode import FILE, Episode
from so101_evaluation import report_command
from so101_evaluation.statistics import Tally
from so101_node.error import UserError
from so101_node.topics import JOINT_TRAJECTORY

FOLDER = Path('build') / 'demo'

# In the share folder of so101_policy; its README.md says how it came about.
SHIPPED = Path('checkpoints') / 'smolvla_cube'

# What a policy that was trained should reach, in as many rollouts of as many seconds as the demo
# has by itself: fewer or shorter ones say nothing.
_SUCCESS_RATE = 0.8
_ROLLOUTS = 5
_EPISODE_TIME = 15.0

_CHANGES: dict[str, dict[str, Any]] = {
    'checkpoint': {
        'default': '',
        'description': 'LeRobot policy checkpoint folder; empty: the SmolVLA that is shipped',
    },
    'num_rollouts': {'default': _ROLLOUTS},
    'episode_time': {'default': _EPISODE_TIME},
    'recordings': {'default': str(FOLDER / 'recordings')},
}


def _nodes(values: Mapping[str, Value]) -> list[NodeSpec]:
    checkpoint = str(values['checkpoint'] or share('so101_policy') / SHIPPED)
    return INFER.nodes({**values, 'sim': True, 'checkpoint': checkpoint})


WIRING = Wiring(
    'demo',
    'Rollouts of the shipped policy in simulation, measured: build/demo/summary.json.',
    tuple(
        # What a robot file says is of a real robot: the demo is the same beside one.
        dataclasses.replace(argument, key='', **_CHANGES.get(argument.name, {}))
        for argument in INFER.arguments
        if argument.name != 'sim' and argument != ROBOT
    ),
    _nodes,
)


def main(values: Mapping[str, Value]) -> int:
    """Run the demo with these arguments; return its exit code. Raises UserError."""
    if not values['record']:
        raise UserError('record:=false: the demo measures its bags, so it needs record:=true')
    started = time.time_ns()
    summary = FOLDER / 'summary.json'
    summary.unlink(missing_ok=True)  # it is there after a run that came to its end
    variables = environment()
    os.environ.update(variables)  # the demo listens, too
    recordings = Path(str(values['recordings']))
    before = set(recordings.glob(f'[!.]*/{FILE}'))
    nodes = WIRING.nodes(values)
    with HealthLog() as health:
        outcome = runner.run(nodes, variables)
    if outcome.failure:
        print(f'so101 demo: {outcome.failure}', file=sys.stderr)
        return outcome.code
    folders = sorted(file.parent for file in set(recordings.glob(f'[!.]*/{FILE}')) - before)
    episodes = [Episode.load(folder) for folder in folders]
    wrong = [text for pair in zip(folders, episodes, strict=True) for text in miscounted(*pair)]
    moved = health.first_reference_change
    first_motion = np.nan if moved is None else (moved - started) * 1e-9
    found = summarise(values, health.last, episodes, wrong, first_motion)
    figures.show('SO-101 demo', found)
    untrained = _trained(health.last) == 'False'
    notes = ['The policy is untrained: it moves the arm, not the cube.'] if untrained else []
    slow = [figure.name.replace('_', ' ') for figure in found if figures.mark(figure) == 'slow']
    if slow:
        notes.append(
            f'Slow, not wrong: {", ".join(slow)}. The machine was too busy (load average '
            f'{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores): end other programs, try again.'
        )
    for note in notes:
        print(note)
    figures.write(summary, 'demo', found, notes=notes)
    print(f'Figures: {summary}')
    report_command.main([str(recordings), '--videos'])
    bad = [figure.name for figure in figures.failed(found)]
    if bad:
        print(f'so101 demo: {len(bad)} figures are wrong: {", ".join(bad)}', file=sys.stderr)
    return int(bool(bad))


def summarise(
    values: Mapping[str, Value],
    health: Mapping[str, Mapping[str, str]],
    episodes: Sequence[Episode],
    miscounted: Sequence[str],
    first_motion: float,
) -> list[Figure]:
    """Return the demo's figures, from how the run ended, the last health and the episodes."""

    def said(status: str, key: str) -> float:
        try:
            return float(health[status][key])
        except (KeyError, ValueError):
            return float('nan')

    def worst(name: str, pick: Callable[[list[float]], float] = max) -> float:
        found = [episode.figures.get(name) for episode in episodes]
        known = [value for value in found if value is not None]
        return pick(known) if known and len(known) == len(found) else np.nan

    sent = f'/{JOINT_TRAJECTORY.name}'
    chunks = sum(episode.topics[sent].messages for episode in episodes if sent in episode.topics)
    rejected = said('driver/arm', 'trajectories_rejected')
    started = said('driver/arm', 'trajectories_started')
    replaced = said('driver/arm', 'trajectories_replaced')
    unwritten = said('driver/arm', 'trajectories_received') - rejected - replaced - started
    must = {'required': True}
    found = [
        exactly('rollouts_recorded', len(episodes), float(values['num_rollouts']), '', **must),
        at_most('start_to_first_motion', first_motion, 30, 's'),
        _success_rate(values, episodes, _trained(health)),
    ]
    used = health.get('policy/inference', {}).get('cameras')
    for camera in CAMERAS if used is None else used.split(', '):
        lost = said('policy/observation', f'{camera}_lost')
        latency = said('policy/observation', f'{camera}_latency_p50_ms')
        rate = worst(f'{camera}_rate_hz', min)
        found += [
            exactly(f'{camera}_raw_images_lost', lost, 0, '', **must),
            at_most(f'{camera}_raw_latency_p50', latency, 3, 'ms'),
            at_least(f'{camera}_recorded_rate', rate, 29.5, 'Hz'),
        ]
    period = worst('joint_states_period_p99_ms')
    found += [
        at_least('simulation_real_time_factor', worst('real_time_factor_min', min), 0.95, ''),
        at_least('joint_states_rate', worst('joint_states_rate_hz', min), 100, 'Hz'),
        at_most('joint_states_period_p99', period, 15, 'ms'),
        at_least('trajectories', chunks, 1, '', **must),
        exactly('trajectories_not_written_to_the_servos', unwritten, 0, '', **must),
        exactly('trajectories_rejected', rejected, 0, '', **must),
        exactly('trajectories_replaced_before_they_began', replaced, 0, ''),
        exactly('late_chunks', said('policy/inference', 'late_chunks'), 0, ''),
        at_least('arm_travel', worst('travel_degrees', min), 5, 'deg', **must),
        at_most('tracking_error_rms', worst('tracking_rms_degrees'), 5, 'deg', **must),
        untargeted('tracking_error_max', worst('tracking_max_degrees'), 'deg'),
    ]
    for name in ('observation_to_command', 'inference'):
        for part in ('p50', 'p95'):
            value = said('policy/inference', f'{name}_{part}_ms')
            found.append(untargeted(f'{name}_{part}', value, 'ms'))
    found.append(
        exactly(
            'bag_topics_miscounted', len(miscounted), 0, '', reason='; '.join(miscounted), **must
        )
    )
    return found


def _trained(health: Mapping[str, Mapping[str, str]]) -> str:
    """Return what the policy says of its weights, 'True' or 'False'; '' when nothing is heard."""
    return health.get('policy/inference', {}).get('trained', '')


def _success_rate(
    values: Mapping[str, Value], episodes: Sequence[Episode], trained: str
) -> Figure:
    """Return it with its interval: it is wrong when the whole interval lies below the target.

    That is said of 2 successes of 5, not of 3: a good policy has 3 now and then. Nothing is
    expected of a policy that was not trained, nor of fewer or shorter rollouts than by default.
    """
    tally = Tally.of(episode.outcome for episode in episodes)
    interval = None if tally.interval is None else (tally.interval.low, tally.interval.high)
    enough = len(episodes) >= _ROLLOUTS and float(values['episode_time']) >= _EPISODE_TIME
    if trained == 'False' or not enough:
        return untargeted('success_rate', tally.rate, '', interval=interval)
    if tally.rate is None or interval is None:
        return at_least('success_rate', None, _SUCCESS_RATE, '', required=True)
    return sampled_at_least('success_rate', tally.rate, _SUCCESS_RATE, '', interval, required=True)
