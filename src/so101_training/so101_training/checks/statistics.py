"""meta/stats.json, by which a policy is normalised: there, sound, and of this data."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy.feature_statistics import Statistics, differ
from so101_policy.features import ACTION, STATE
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import Collection, Floats

NAME = 'statistics'

_CURE = 'compute them again, as --fix does'

# Dataset units: a joint with a smaller standard deviation does not move, and is divided by it.
_WIDTH = 1e-3


def find(collection: Collection) -> Iterator[Finding]:
    if not collection.dataset:
        return
    if not collection.statistics:
        text = 'meta/stats.json is missing, broken or empty: no policy can be normalised'
        yield Finding(NAME, None, BAD, f'{text}; {_CURE}')
        return
    for feature, signals in (
        (STATE, [take.state for take in collection.takes]),
        (ACTION, [take.action for take in collection.takes]),
    ):
        values = [signal.values for signal in signals if signal is not None]
        if values:
            text = _joints(feature, collection.statistics.get(feature), values)
            if text:
                yield Finding(NAME, None, BAD, text)
    for camera in collection.cameras:
        name = f'observation.images.{camera}'
        yield from _images(
            camera, collection.statistics.get(name, collection.statistics.get(camera))
        )


def _joints(feature: str, found: Any, episodes: Sequence[Floats]) -> str:
    """Return what is wrong with the statistics of six joints, '' for nothing."""
    values = np.concatenate(episodes)
    if not isinstance(found, dict):
        return f'meta/stats.json has nothing of {feature}; {_CURE}'
    try:
        said = Statistics.checked(found, len(JOINTS), f'meta/stats.json: {feature}')
        said.check_order(f'meta/stats.json: {feature}')
    except UserError as error:
        return f'{error}; {_CURE}'
    for name in ('mean', 'std', 'min', 'max'):
        if name not in said.values:
            return f'meta/stats.json: {feature} has no {name}; {_CURE}'
    std = np.array(said.values['std'])
    if (std < _WIDTH).any():
        joint = JOINTS[int(np.argmin(std))]
        return (
            f'meta/stats.json: {joint} of {feature} has no width (std {std.min():.2g}), and is '
            'divided by it; record episodes in which it moves'
        )
    exact = {
        'mean': values.mean(axis=0), 'std': values.std(axis=0),
        'min': values.min(axis=0), 'max': values.max(axis=0),
    }  # fmt: skip
    is_now = Statistics.checked(exact, len(JOINTS), feature)
    if differ(is_now, said) and differ(_lerobots(episodes), said):
        name, i = max(
            ((name, i) for name in ('mean', 'std') for i in range(len(JOINTS))),
            key=lambda at: abs(exact[at[0]][at[1]] - said.values[at[0]][at[1]]) / std[at[1]],
        )
        return (
            f'meta/stats.json is of other data: {name} of {JOINTS[i]} in {feature} is '
            f'{said.values[name][i]:.3g} there and {exact[name][i]:.3g} here; {_CURE}'
        )
    for name in ('min', 'max'):
        if (np.abs(exact[name] - np.array(said.values[name])) > 0.1).any():
            return f'meta/stats.json is of other data: {name} of {feature} differs; {_CURE}'
    return ''


def _lerobots(episodes: Sequence[Floats]) -> Statistics:
    """Return what LeRobot makes of these joints, (n, 6) each.

    It adds squares up in 32 bits: of a joint that stands at 90 degrees and hardly moves, the
    standard deviation is a tenth off.
    """
    # Here: it takes seconds to import, and is seldom needed.
    from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats

    each = [
        {STATE: get_feature_stats(values.astype(np.float32), axis=0, keepdims=False)}
        for values in episodes
    ]
    return Statistics.checked(aggregate_stats(each)[STATE], len(JOINTS), 'LeRobot')


def _images(camera: str, found: Any) -> Iterator[Finding]:
    if not isinstance(found, dict):
        text = f'meta/stats.json has nothing of the {camera} camera'
        yield Finding(NAME, None, DOUBTFUL, f'{text}; {_CURE}', camera)
        return
    try:
        said = Statistics.checked(found, 3, f'meta/stats.json: {camera} camera')
        said.check_order(f'meta/stats.json: {camera} camera')
    except UserError as error:
        yield Finding(NAME, None, BAD, f'{error}; {_CURE}', camera)
        return
    std, mean = said.get('std'), said.get('mean')
    if std is not None and (std <= 0).any():
        text = f'meta/stats.json: the {camera} camera has no width (std 0)'
        yield Finding(NAME, None, BAD, f'{text}; {_CURE}', camera)
    elif mean is not None and (mean > 1.5).any():
        text = f'meta/stats.json: the {camera} camera has a mean of {mean.max():.0f}, of 0 to 1'
        yield Finding(NAME, None, BAD, f'{text}; {_CURE}', camera)
