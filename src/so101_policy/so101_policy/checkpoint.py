"""A LeRobot checkpoint folder, checked against the robot before anything is loaded or moves.

Reads JSON and the headers of safetensors files only, so it is fast and needs neither torch nor
LeRobot. Facts about the format: LeRobot 0.6.1, `PreTrainedPolicy.save_pretrained` and
`PolicyProcessorPipeline.save_pretrained`.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy.features import ACTION, STATE, image_feature

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'
PREPROCESSOR = 'policy_preprocessor.json'
POSTPROCESSOR = 'policy_postprocessor.json'

# What this suite adds beside LeRobot's files, all optional: `trained` (false: random weights) and
# `fps` in NOTE; the vision-language model's configuration and tokenizer in VLM.
NOTE = 'so101.json'
VLM = 'vlm'

# Where a checkpoint lies in the folder of a training run, or of one of its steps.
_INSIDE = ('.', 'pretrained_model', 'checkpoints/last/pretrained_model')

# The statistics that each of LeRobot's normalisation modes uses.
_STATISTICS = {
    'IDENTITY': (),
    'MEAN_STD': ('mean', 'std'),
    'MIN_MAX': ('min', 'max'),
    'QUANTILES': ('q01', 'q99'),
    'QUANTILE10': ('q10', 'q90'),
}


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint that fits the robot."""

    path: Path
    type: str  # LeRobot's name of the policy class: smolvla, act ...
    chunk_size: int  # actions
    fps: float | None  # None: the checkpoint does not say
    trained: bool
    vlm: Path | None  # the vision-language model's folder, when the checkpoint brings it
    preprocessor_steps: tuple[str, ...]


def read(folder: Path) -> Checkpoint:
    """Check the checkpoint in `folder`, which may also be a training run's or a step's folder.

    Raises UserError, naming the file, what was found and what was expected, for whatever would
    fail later or, worse, would not: LeRobot silently ignores missing cameras and statistics.
    """
    path = _find(folder)
    config = _json(path / CONFIG)
    kind = _field(config, 'type', str, path / CONFIG)
    _check_tensors(path / WEIGHTS)
    before = _Pipeline(path / PREPROCESSOR)
    after = _Pipeline(path / POSTPROCESSOR)
    _check_features(config, before.rename_map(), path / CONFIG)
    modes = _field(config, 'normalization_mapping', dict, path / CONFIG)
    for name, feature in config['input_features'].items():
        if name == STATE or feature['type'] == 'VISUAL':
            before.check_statistics('normalizer_processor', name, feature, modes)
    after.check_statistics(
        'unnormalizer_processor', ACTION, config['output_features'][ACTION], modes
    )
    chunk_key = 'chunk_size' if 'chunk_size' in config else 'n_action_steps'
    note = _json(path / NOTE) if (path / NOTE).exists() else {}
    vlm = path / VLM
    return Checkpoint(
        path=path,
        type=kind,
        chunk_size=_field(config, chunk_key, int, path / CONFIG),
        fps=float(_field(note, 'fps', (int, float), path / NOTE)) if 'fps' in note else None,
        trained=_field(note, 'trained', bool, path / NOTE) if 'trained' in note else True,
        vlm=vlm if vlm.is_dir() else None,
        preprocessor_steps=tuple(before.steps),
    )


def _find(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f'checkpoint {folder}: no such folder; give the path of a checkpoint')
    for inside in _INSIDE:
        if (folder / inside / CONFIG).is_file():
            return (folder / inside).resolve()
    raise UserError(
        f'checkpoint {folder}: no {CONFIG} in it, nor in pretrained_model or '
        'checkpoints/last/pretrained_model; give the folder that LeRobot saved'
    )


def _check_features(config: dict[str, Any], renames: dict[str, str], path: Path) -> None:
    inputs = _field(config, 'input_features', dict, path)
    outputs = _field(config, 'output_features', dict, path)
    for name, feature in {**inputs, **outputs}.items():
        shape = feature.get('shape') if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not shape or not isinstance(feature.get('type'), str):
            raise UserError(f'{path}: feature {name} is {feature!r}, expected a type and a shape')

    empty = {f'observation.images.empty_camera_{i}' for i in range(config.get('empty_cameras', 0))}
    dataset_names = {policy: dataset for dataset, policy in renames.items()}
    images = {
        dataset_names.get(name, name): feature['shape']
        for name, feature in inputs.items()
        if feature['type'] == 'VISUAL' and name not in empty
    }
    robot = {image_feature(camera) for camera in CAMERAS}
    if set(images) != robot:
        raise UserError(
            f'{path}: the cameras differ. Missing here: {_list(robot - set(images))}; '
            f'not on the robot: {_list(set(images) - robot)}. The robot has {_list(robot)}; '
            'train on those names, or rename in the preprocessor'
        )
    height, width, channels = IMAGE_SHAPE
    for name, shape in images.items():
        # A policy that resizes by itself takes any size, and its declared one means nothing.
        if shape != [channels, height, width] and not config.get('resize_imgs_with_padding'):
            raise UserError(
                f'{path}: {name} has shape {shape}, the camera gives {[channels, height, width]}; '
                'train on images of that size'
            )
    for features, name in ((inputs, STATE), (outputs, ACTION)):
        shape = features.get(name, {}).get('shape')
        if shape != [len(JOINTS)]:
            raise UserError(
                f'{path}: {name} has shape {shape}, the robot has [{len(JOINTS)}] '
                f'({", ".join(JOINTS)}); use a checkpoint trained on this robot'
            )
    known = {STATE, *images, *empty, *renames.values()}
    others = set(inputs) - known
    if others:
        raise UserError(f'{path}: the robot does not give the input {_list(others)}')
    if config.get('n_obs_steps', 1) != 1:
        raise UserError(
            f'{path}: n_obs_steps is {config["n_obs_steps"]}; only policies of one observation '
            'at a time are supported'
        )


class _Pipeline:
    """A pre- or postprocessor: its steps by name, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.steps: dict[str, dict[str, Any]] = {}
        for step in _field(_json(path), 'steps', list, path):
            if not isinstance(step, dict) or not isinstance(step.get('config', {}), dict):
                raise UserError(f'{path}: a step is {step!r}, expected its name and config')
            # A class is imported and called with the config: only LeRobot's own are.
            name = str(step.get('registry_name') or step.get('class'))
            if 'registry_name' not in step and not name.startswith('lerobot.'):
                raise UserError(f'{path}: step {name} is not part of LeRobot; it is not run')
            self.steps[name] = step

    def rename_map(self) -> dict[str, str]:
        """Names in the dataset -> names in the policy."""
        config = self.steps.get('rename_observations_processor', {}).get('config', {})
        return _field(config, 'rename_map', dict, self._path) if config else {}

    def check_statistics(
        self, step: str, name: str, feature: dict[str, Any], modes: dict[str, str]
    ) -> None:
        """Refuse a feature that LeRobot would leave unnormalised without a word."""
        mode = str(modes.get(feature['type'], 'IDENTITY'))
        if mode not in _STATISTICS:
            raise UserError(f'{self._path.parent / CONFIG}: unknown normalization mode {mode!r}')
        if not _STATISTICS[mode]:
            return
        found = self.steps.get(step)
        if found is None:
            raise UserError(f'{self._path}: no {step}, but {name} is normalised by {mode}')
        config = found.get('config', {})
        if name not in config.get('features', {}):
            raise UserError(
                f'{self._path}: {step} does not know {name}; it knows '
                f"{_list(config.get('features', {}))}. Statistics must carry the policy's names"
            )
        if config.get('norm_map', {}).get(feature['type']) != mode:
            raise UserError(
                f'{self._path}: {step} normalises {name} by '
                f'{config.get("norm_map", {}).get(feature["type"])}, {CONFIG} says {mode}'
            )
        file = self._path.parent / Path(_field(found, 'state_file', str, self._path)).name
        tensors = _check_tensors(file)
        channels = feature['shape'][0]
        for statistic in _STATISTICS[mode]:
            key = f'{name}.{statistic}'
            if key not in tensors:
                raise UserError(
                    f'{file}: no {key}, which {mode} needs; it has {_list(tensors)}. '
                    "Save the checkpoint with its dataset's statistics"
                )
            if math.prod(tensors[key]) != channels:
                raise UserError(f'{file}: {key} has shape {tensors[key]}, expected [{channels}]')


def _check_tensors(path: Path) -> dict[str, list[int]]:
    """Return the shapes in a safetensors file; UserError when its size is not what it says.

    Format: 8 bytes little-endian length, a JSON header of that length, the data.
    """
    _require(path)
    size = path.stat().st_size
    with path.open('rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        text = file.read(length) if length <= size - 8 else b''
    try:
        header = json.loads(text)
        header.pop('__metadata__', None)
        end = max((tensor['data_offsets'][1] for tensor in header.values()), default=0)
        shapes = {name: list(tensor['shape']) for name, tensor in header.items()}
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f'{path}: not a whole safetensors file ({size} bytes); copy it again'
        ) from error
    if size != 8 + length + end:
        raise UserError(
            f'{path}: {size} bytes, its header says {8 + length + end}: '
            'the file is truncated; copy it again'
        )
    return shapes


def _json(path: Path) -> dict[str, Any]:
    _require(path)
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f'{path}: not JSON: {error}; copy the file again') from error
    if not isinstance(value, dict):
        raise UserError(f'{path}: holds a {type(value).__name__}, expected a JSON object')
    return value


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f'checkpoint {path.parent}: {path.name} is missing; copy the whole folder')


def _field(values: dict[str, Any], key: str, kind: type | tuple[type, ...], path: Path) -> Any:
    value = values.get(key)
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise UserError(
            f'{path}: {key} is {value!r}, expected {" or ".join(k.__name__ for k in kinds)}'
        )
    return value


def _list(names: Any) -> str:
    return ', '.join(sorted(names)) or 'none'
