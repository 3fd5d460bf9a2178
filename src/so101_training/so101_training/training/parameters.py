"""The parameters of a training: one YAML file, and KEY=VALUE on the command line over it.

Our own keys are the fields of Parameters. Any other key is an option of LeRobot's trainer by its
dotted name (`policy.optimizer_lr`), passed on as it stands; LeRobot checks it.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from so101_node.error import UserError

DEVICES = ('auto', 'cuda', 'mps', 'cpu')

# LeRobot's options that ours stand for, and the ones that a run of ours cannot have.
_OURS = {
    'dataset': 'dataset',
    'dataset.repo_id': 'dataset',
    'dataset.root': 'dataset',
    'dataset.image_transforms.enable': 'image_transforms',
    'dataset.video_backend': 'video_backend',
    'policy.path': 'policy',
    'policy.type': 'policy',
    'policy.pretrained_path': 'policy',
    'policy.input_features': 'exclude_cameras',
    'policy.device': 'device',
    'policy.push_to_hub': 'push_to_hub',
    'wandb.enable': 'wandb',
    'output_dir': 'out',
    'config_path': '--resume-from',
    'resume': '--resume-from',
}
_IMPOSSIBLE = {
    'dataset.streaming': 'a dataset on this machine is read, not streamed',
    'dataset.repo_type': 'a dataset on this machine is read, not streamed',
    'reward_model': 'only policies are trained',
    'job': 'the training runs on this machine',
    'env': 'rollouts are so101 evaluate',
}


@dataclass(frozen=True)
class Parameters:
    """What config/train.yaml says of each; its values are the defaults."""

    dataset: str
    policy: str
    out: str
    exclude_cameras: tuple[str, ...]
    batch_size: int = field(metadata={'least': 1})
    steps: int = field(metadata={'least': 1})
    save_freq: int = field(metadata={'least': 1})
    log_freq: int = field(metadata={'least': 1})
    num_workers: int = field(metadata={'least': 0})
    cache: str
    image_transforms: bool
    video_backend: str = field(metadata={'choices': ('pyav',)})
    seed: int = field(metadata={'least': 0})
    device: str = field(metadata={'choices': DEVICES})
    num_processes: int = field(metadata={'least': 1})
    wandb: bool
    push_to_hub: bool
    options: Mapping[str, str]  # LeRobot's, by dotted name, as its command line takes them


KEYS = {key.name: key for key in fields(Parameters) if key.name != 'options'}


def read(path: Path) -> dict[str, Any]:
    """Return the checked keys and values of a YAML file. Raises UserError."""
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}; give --config a YAML file') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: not YAML: {" ".join(str(error).split())}') from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f'{path}: holds a {type(values).__name__}, expected lines of key: value')
    return checked(values, str(path))


def overrides(words: Iterable[str]) -> dict[str, Any]:
    """Return the checked keys and values of KEY=VALUE words. Raises UserError."""
    values = {}
    for word in words:
        key, equals, text = word.partition('=')
        if not equals or not key:
            raise UserError(f'{word!r}: expected KEY=VALUE, such as steps=10000')
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f'{word!r}: {" ".join(str(error).split())}') from error
        # YAML takes 1e-4 for a text, and LeRobot takes texts: an option stays as it was typed.
        if key not in KEYS:
            values[key] = text
    return checked(values, 'the command line')


def checked(values: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Return our keys with values of the right type and LeRobot's options as texts.

    Raises UserError, beginning with `where`, for an unknown key, with the nearest known one, and
    for a value of the wrong type or outside its range.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in KEYS:
            found[key] = _value(key, value, where)
        elif _is_option(key, where):
            found[key] = _option_text(value)
    return found


def assemble(*layers: Mapping[str, Any]) -> Parameters:
    """Return the parameters, later layers before earlier. Raises UserError when one is missing."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    if missing := [key for key in KEYS if key not in merged]:
        raise UserError(f'no value for {", ".join(missing)}; see config/train.yaml')
    options = {key: text for key, text in merged.items() if key not in KEYS}
    return Parameters(**{key: merged[key] for key in KEYS}, options=options)


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known key that is most like `key`, for an error message; always one of them."""
    known = sorted(known)
    found = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return found[0] if found else known[0]


def _is_option(key: Any, where: str) -> bool:
    if key in _OURS:
        raise UserError(f"{where}: {key} is LeRobot's name; here it is {_OURS[key]}")
    for name, why in _IMPOSSIBLE.items():
        if key == name or str(key).startswith(f'{name}.'):
            raise UserError(f'{where}: {key}: {why}')
    if isinstance(key, str) and ('.' in key or key in _lerobot_keys()):
        return True
    known = {*KEYS, *_lerobot_keys()}
    raise UserError(f'{where}: unknown key {key!r}; the nearest is {nearest(str(key), known)}')


def _lerobot_keys() -> set[str]:
    # Imported late: it takes seconds, and only a key that is not ours asks for it.
    from lerobot.configs.train import TrainPipelineConfig

    names = {key.name for key in fields(TrainPipelineConfig) if key.init}
    return names - {name.partition('.')[0] for name in (*_OURS, *_IMPOSSIBLE)}


def _option_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value(key: str, value: Any, where: str) -> Any:
    kind, limits = KEYS[key].type, KEYS[key].metadata
    if kind is str and value is None:
        value = ''
    if kind == tuple[str, ...]:
        names = value.split(',') if isinstance(value, str) else value if value is not None else []
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise UserError(f'{where}: {key} is {value!r}, expected a list of names')
        return tuple(name.strip() for name in names if name.strip())
    assert isinstance(kind, type)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = {str: 'a text', int: 'a whole number', bool: 'true or false'}[kind]
        raise UserError(f'{where}: {key} is {value!r}, expected {expected}')
    if 'least' in limits and value < limits['least']:
        raise UserError(f'{where}: {key} is {value}, expected {limits["least"]} or more')
    if 'choices' in limits and value not in limits['choices']:
        raise UserError(f'{where}: {key} is {value}, expected {" or ".join(limits["choices"])}')
    return value
