"""The parameters of a pipeline: one YAML file, and KEY=VALUE on the command line over it.

Those under `training` are of `so101 train`; that command's own code checks them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from so101_bringup.graphs import EVALUATE, RECORD
from so101_bringup.wiring import Wiring, share
from so101_node import yaml_file
from so101_node.error import UserError
from so101_node.yaml_file import YamlFile
from so101_training.training import parameters as of_training

DEFAULTS = Path('config') / 'pipeline.yaml'

# The world's seeds are 32 bits wide, and count up from the one that is given.
_LAST_SEED = 2**30

# Parameters of a training that follow from what the pipeline has made before.
_MADE = ('dataset', 'policy', 'out')


def _within(
    low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    return field(metadata={'low': low, 'high': high, 'choices': choices})


def _choices(wiring: Wiring, name: str) -> tuple[str, ...]:
    return next(one.choices for one in wiring.arguments if one.name == name)


@dataclass(frozen=True)
class Parameters:
    """What config/pipeline.yaml says of each; its values are the defaults."""

    out: str = _within()
    demonstrations: int = _within(low=1)
    episode_time: float = _within(low=0.1)
    look: str = _within(choices=_choices(RECORD, 'look'))
    demonstration_seed: int = _within(low=0, high=_LAST_SEED)
    policy: str = _within()
    training: Mapping[str, Any] = _within()  # as so101_training's parameters.checked returns them
    rollouts: int = _within(low=1)
    evaluation_seed: int = _within(low=0, high=_LAST_SEED)
    mode: str = _within(choices=_choices(EVALUATE, 'mode'))
    on_mismatch: str = _within(choices=_choices(EVALUATE, 'on_mismatch'))


KEYS = {key.name: key for key in fields(Parameters)}
_TRAINING = 'training'


def defaults() -> dict[str, Any]:
    """Return what the suite's own file says."""
    return read(share('so101_bringup') / DEFAULTS)


def read(path: Path) -> dict[str, Any]:
    """Return the keys and values of a file. Raises UserError with its name, line and reason."""
    file = YamlFile(path, 'configuration', 'give --config a YAML file, such as pipeline.yaml')
    said: dict[str, Any] = {}
    for key, node in file.entries(file.root, tuple(KEYS)):
        if key == _TRAINING:
            said[key] = {}
            for name, value in file.entries(node, (), key):
                where = f'{file.where(value)}: {key}'
                said[key] |= _of_training({name: yaml_file.plain(value, where)}, where)
        else:
            said[key] = file.value(node, KEYS[key], key)
    return said


def overrides(words: Iterable[str]) -> dict[str, Any]:
    """Return the keys and values of KEY=VALUE words. Raises UserError."""
    said: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition('=')
        if not equals or not key:
            raise UserError(f'{word!r}: expected KEY=VALUE, such as demonstrations=25')
        section, _, name = key.partition('.')
        if section == _TRAINING and name:
            found = of_training.overrides([f'{name}={text}'])
            said.setdefault(_TRAINING, {}).update(_of_training(found, 'the command line'))
        elif key in KEYS and key != _TRAINING:
            said[key] = yaml_file.value(_node(text, word), KEYS[key], f'the command line: {key}')
        else:
            known = (*(name for name in KEYS if name != _TRAINING), f'{_TRAINING}.steps')
            near = of_training.nearest(key, known)
            raise UserError(f'the command line: unknown key {key}; the nearest is {near}')
    return said


def assemble(*layers: Mapping[str, Any]) -> Parameters:
    """Return the parameters, later layers before earlier. Raises UserError for what cannot be.

    Options of the policy's own are not those of another one that a later layer names.
    """
    merged: dict[str, Any] = {_TRAINING: {}}
    for layer in layers:
        training = merged[_TRAINING]
        if layer.get('policy', merged.get('policy')) != merged.get('policy'):
            training = {
                key: text for key, text in training.items() if not key.startswith('policy.')
            }
        merged |= {**layer, _TRAINING: training | layer.get(_TRAINING, {})}
    given = Parameters(**merged)
    for name in ('out', 'policy'):
        if not getattr(given, name):
            raise UserError(f'{name} is empty; see config/pipeline.yaml for what it may be')
    _check_seeds(given)
    return given


def training_words(training: Mapping[str, Any]) -> list[str]:
    """Return KEY=VALUE for each parameter of a training, as `so101 train` takes them."""
    return [f'{key}={_text(value)}' for key, value in training.items()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ','.join(value) if isinstance(value, tuple) else str(value)


def _of_training(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    if made := [key for key in values if key in _MADE]:
        raise UserError(f'{where}: {made[0]}: the pipeline gives the training its own')
    return of_training.checked(values, where)


def _check_seeds(given: Parameters) -> None:
    """Refuse seeds that demonstrations and rollouts would share: those are to be unseen."""
    starts = [
        range(given.demonstration_seed + 1, given.demonstration_seed + 1 + given.demonstrations),
        range(given.evaluation_seed + 1, given.evaluation_seed + 1 + given.rollouts),
    ]
    (earlier, later) = sorted(starts, key=lambda seeds: seeds.start)
    if later.start < earlier.stop:
        raise UserError(
            f'demonstration_seed {given.demonstration_seed} and evaluation_seed '
            f'{given.evaluation_seed} let rollouts start as demonstrations did; set them '
            f'{len(earlier)} or more apart'
        )


def _node(text: str, word: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UserError(f'{word!r}: {yaml_file.problem(error)}') from None
    return node or yaml.ScalarNode('tag:yaml.org,2002:null', '')
