"""Joints in other units than degrees: radians, percent, encoder steps."""

from collections.abc import Iterator

import numpy as np

from so101_node.error import UserError
from so101_policy.feature_statistics import Statistics, doubts_of_agreement, doubts_of_units
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import ARM, Collection, Floats, Signal, Take

NAME = 'units'

# Degrees that the arm must travel for an episode to tell its units.
_TELLS = 0.5


def find(collection: Collection) -> Iterator[Finding]:
    wrong: dict[str, list[tuple[int, str, str]]] = {}
    for take in collection.takes:
        for severity, kind, text in _of(take):
            wrong.setdefault(kind, []).append((take.number, severity, text))
    for found in wrong.values():
        if len(found) > len(collection.takes) / 2 and len(collection.takes) > 1:
            text = f'in {len(found)} of {len(collection.takes)} episodes, first in {found[0][0]}'
            yield Finding(NAME, None, found[0][1], f'{text}: {found[0][2]}')
        for number, severity, text in found:
            yield Finding(NAME, number, severity, text)


def in_other_units(signal: Signal) -> bool:
    """Return whether the joints are certainly in other units: then nothing else can be said."""
    try:
        doubts_of_units('it', _statistics(signal.values))
    except UserError:
        return True
    return False


def _of(take: Take) -> Iterator[tuple[str, str, str]]:
    """Yield severity, kind and text of what an episode's units make one doubt."""
    signals = {'state': take.state, 'action': take.action}
    certain = False
    for name, signal in signals.items():
        if signal is None or np.ptp(signal.values[:, ARM], axis=0).max() < _TELLS / 57:
            continue
        try:
            for doubt in doubts_of_units(name, _statistics(signal.values)):
                yield DOUBTFUL, f'{name} doubt', doubt.replace(' of training', '')
        except UserError as error:
            certain = True
            text = str(error).replace(' of training', '').rpartition('; ')[0]
            yield BAD, f'{name} units', f'{text}; convert it to degrees, or leave it out'
    if certain or take.state is None or take.action is None:
        return
    try:
        doubts_of_agreement(_statistics(take.state.values), _statistics(take.action.values))
    except UserError as error:
        yield BAD, 'agreement', str(error).replace(' of training', '')


def _statistics(values: Floats) -> Statistics:
    return Statistics.checked(
        {'min': values.min(axis=0), 'max': values.max(axis=0), 'mean': values.mean(axis=0)},
        values.shape[1],
        'the joints',
    )
