"""A LeRobot checkpoint folder, checked against the robot before anything is loaded or moves.

Reads JSON and the statistics of safetensors files only, so it is fast and needs neither torch nor
LeRobot. Facts about the format: LeRobot 0.6.1, `PreTrainedPolicy.save_pretrained`,
`PolicyProcessorPipeline.save_pretrained` and `TrainPipelineConfig.save_pretrained`.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import feature_statistics, json_object, training
from so101_policy.feature_statistics import Statistics
from so101_policy.features import ACTION, STATE, image_feature, robot_names
from so101_policy.json_object import field
from so101_policy.tensor_file import TensorFile
from so101_policy.training import TRAIN_CONFIG, Training

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'
PREPROCESSOR = 'policy_preprocessor.json'
POSTPROCESSOR = 'policy_postprocessor.json'

# What this suite adds beside LeRobot's files, all optional: what is known of the training in NOTE
# (see `training.of_note`); the vision-language model's configuration and tokenizer in VLM.
NOTE = 'so101.json'
VLM = 'vlm'

# Where a checkpoint lies in the folder of a training run, or of one of its steps.
_INSIDE = ('.', 'pretrained_model', 'checkpoints/last/pretrained_model')

# The statistics that each of LeRobot's normalisation modes uses. The width, by which it divides,
# is the second, or the distance of the two.
_STATISTICS = {
    'IDENTITY': (),
    'MEAN_STD': ('mean', 'std'),
    'MIN_MAX': ('min', 'max'),
    'QUANTILES': ('q01', 'q99'),
    'QUANTILE10': ('q10', 'q90'),
}


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint that fits the robot. Statistics are in dataset units."""

    path: Path
    type: str  # LeRobot's name of the policy class: smolvla, act ...
    cameras: tuple[str, ...]  # whose images it is given: one or more of CAMERAS, in their order
    chunk_size: int  # actions
    fps: float | None  # None: the checkpoint does not say
    trained: bool
    vlm: Path | None  # the vision-language model's folder, when the checkpoint brings it
    preprocessor_steps: tuple[str, ...]
    tasks: tuple[str, ...]  # that it was trained on; empty: unknown
    state: Statistics | None  # None: unknown
    action: Statistics | None
    images: Mapping[
        str, Statistics
    ]  # of the training images, for the cameras where they are known
    doubts: tuple[str, ...]  # what is likely, but not certainly, wrong

    def check_cameras(self, present: Collection[str]) -> None:
        """Raise UserError when the policy needs another camera than those that are present."""
        if lacking := [camera for camera in self.cameras if camera not in present]:
            raise UserError(
                f'checkpoint {self.path}: it needs the {" and ".join(lacking)} camera, but there '
                f'is only {" and ".join(present) or "none"}; use one that was trained without it'
            )

    def to_json(self) -> str:
        return json.dumps(
            {
                'path': str(self.path),
                'type': self.type,
                'cameras': self.cameras,
                'chunk_size': self.chunk_size,
                'fps': self.fps,
                'trained': self.trained,
                'vlm': None if self.vlm is None else str(self.vlm),
                'preprocessor_steps': self.preprocessor_steps,
                'tasks': self.tasks,
                'statistics': {
                    name: dict(of.values)
                    for name, of in ((STATE, self.state), (ACTION, self.action))
                    if of is not None
                }
                | {image_feature(camera): dict(of.values) for camera, of in self.images.items()},
                'doubts': self.doubts,
            }
        )


def from_json(text: str) -> Checkpoint:
    """Return the checkpoint that `Checkpoint.to_json` described, maybe on another machine.

    Raises UserError for anything that `to_json` does not write.
    """
    where = 'the description of a checkpoint'
    values = json_object.parse(text, where)
    statistics = training.statistics(field(values, 'statistics', dict, where), where)
    vlm = field(values, 'vlm', (str, type(None)), where)
    return Checkpoint(
        path=Path(field(values, 'path', str, where)),
        type=field(values, 'type', str, where),
        cameras=_cameras(json_object.texts(values, 'cameras', where), where),
        chunk_size=_chunk_size(values, 'chunk_size', where),
        fps=None if values.get('fps') is None else training.rate(values, where),
        trained=field(values, 'trained', bool, where),
        vlm=None if vlm is None else Path(vlm),
        preprocessor_steps=json_object.texts(values, 'preprocessor_steps', where),
        tasks=json_object.texts(values, 'tasks', where),
        state=statistics.get(STATE),
        action=statistics.get(ACTION),
        images=_by_camera(statistics),
        doubts=json_object.texts(values, 'doubts', where),
    )


def read(folder: Path) -> Checkpoint:
    """Check the checkpoint in `folder`, which may also be a training run's or a step's folder.

    Raises UserError, naming the file, what was found and what was expected, for whatever would
    fail later or, worse, would not: LeRobot silently ignores missing cameras and statistics.
    """
    try:
        return _read(find(folder))
    except OSError as error:
        raise UserError(
            f'checkpoint {folder}: {error.filename}: {error.strerror}; see to the files'
        ) from error


def _read(path: Path) -> Checkpoint:
    config = json_object.read(path / CONFIG)
    kind = field(config, 'type', str, path / CONFIG)
    TensorFile(path / WEIGHTS)
    before = _Pipeline(path / PREPROCESSOR, 'normalizer_processor')
    after = _Pipeline(path / POSTPROCESSOR, 'unnormalizer_processor')
    cameras = _check_features(config, before, path / CONFIG)
    modes = field(config, 'normalization_mapping', dict, path / CONFIG)
    for name, feature in config['input_features'].items():
        if name == STATE or (feature['type'] == 'VISUAL' and before.saw(name)):
            before.check_statistics(name, feature, modes)
    after.check_statistics(ACTION, config['output_features'][ACTION], modes)
    found = _Facts(path, config, before, after)
    chunk_key = 'chunk_size' if 'chunk_size' in config else 'n_action_steps'
    vlm = path / VLM
    return Checkpoint(
        path=path,
        type=kind,
        cameras=cameras,
        chunk_size=_chunk_size(config, chunk_key, path / CONFIG),
        fps=found.fps,
        trained=found.trained,
        vlm=vlm if vlm.is_dir() else None,
        preprocessor_steps=tuple(before.steps),
        tasks=found.tasks,
        state=found.state,
        action=found.action,
        images=found.images,
        doubts=tuple(found.doubts),
    )


class _Facts:
    """What is known of the training, of three sources: our note, the dataset, the statistics."""

    def __init__(
        self, path: Path, config: dict[str, Any], before: '_Pipeline', after: '_Pipeline'
    ) -> None:
        self.doubts: list[str] = []
        self._note = training.of_note(path / NOTE)
        self.trained = self._note.trained
        self._dataset = self._read_dataset(path / TRAIN_CONFIG)
        self.fps = self._note.fps or self._dataset.fps
        self.tasks = self._note.tasks or self._dataset.tasks
        self._check_names(config)
        self._check_sizes()

        state, action = before.statistics(STATE), after.statistics(ACTION)
        before.check_equal(ACTION, action)
        relative = before.steps.get('relative_actions_processor', {}).get('config', {})
        self.state = self._joints(STATE, state)
        # Relative actions are distances from the state: no range of the robot's holds for them.
        self.action = None if relative.get('enabled') else self._joints(ACTION, action)
        if self.state and self.action:
            self.doubts += feature_statistics.doubts_of_agreement(self.state, self.action)
        self.images = {
            camera: statistics
            for camera in CAMERAS
            if (statistics := self._image(image_feature(camera), before)) is not None
        }

    def _read_dataset(self, path: Path) -> Training:
        if not path.is_file():
            return Training()
        try:
            return training.of_dataset(path)
        except UserError as error:
            self.doubts.append(f"the training dataset's description cannot be used: {error}")
            return Training()

    def _check_names(self, config: dict[str, Any]) -> None:
        names = {**self._dataset.names, **self._note.names}
        if ACTION not in names and config.get('action_feature_names'):
            names[ACTION] = json_object.texts(config, 'action_feature_names', CONFIG)
        for feature, found in names.items():
            self.doubts += training.doubts_of_names(feature, found)

    def _check_sizes(self) -> None:
        height, width, _ = IMAGE_SHAPE
        for name, size in self._dataset.sizes.items():
            if size != (height, width):
                self.doubts.append(
                    f'{name} of training has {size[1]}x{size[0]} pixels, the camera gives '
                    f'{width}x{height}: the model sees another field of view, or another scale'
                )

    def _joints(self, name: str, saved: Statistics | None) -> Statistics | None:
        """Return the best statistics: those saved unless only others know the range."""
        trained_on = self._dataset.statistics.get(name)
        if saved and trained_on and feature_statistics.differ(saved, trained_on):
            self.doubts.append(
                f'{name} is normalised by other statistics than those of its dataset; was the '
                'dataset changed since the training?'
            )
            trained_on = None
        sources = [s for s in (saved, self._note.statistics.get(name), trained_on) if s]
        known = [(s, span) for s in sources if (span := s.span())]
        if not known:
            self.doubts.append(f'no statistics of {name}: its range in training is not known')
            return None
        best = next((s for s, span in known if span.measured), known[0][0])
        best.check_order(name)
        self.doubts += feature_statistics.doubts_of_units(name, best)
        return best

    def _image(self, name: str, before: '_Pipeline') -> Statistics | None:
        """Return what is known of a camera's training images."""
        sources = (
            self._note.statistics.get(name),
            self._dataset.statistics.get(name),
            before.statistics(name),
        )
        return next(
            (s for s in sources if s and 'mean' in s.values and not s.are_of_imagenet()), None
        )


def _by_camera(statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
    named = {camera: image_feature(camera) for camera in CAMERAS}
    return {camera: statistics[name] for camera, name in named.items() if name in statistics}


def _cameras(names: Collection[str], where: object) -> tuple[str, ...]:
    """Return the names in the order of CAMERAS; UserError unless they are some of those."""
    if not names or set(names) - set(CAMERAS):
        raise UserError(
            f'{where}: cameras is {_list(names)}, expected some of {", ".join(CAMERAS)}'
        )
    return tuple(camera for camera in CAMERAS if camera in names)


def _chunk_size(values: Mapping[str, Any], key: str, where: object) -> int:
    size = field(values, key, int, where)
    if size < 1:
        raise UserError(f'{where}: {key} is {size}, expected the number of actions in a chunk')
    return size


def find(folder: Path) -> Path:
    """Return the checkpoint's own folder: `folder`, or where it lies in a run's or a step's.

    Raises UserError when there is none.
    """
    if not folder.is_dir():
        raise UserError(f'checkpoint {folder}: no such folder; give the path of a checkpoint')
    for inside in _INSIDE:
        if (folder / inside / CONFIG).is_file():
            return (folder / inside).resolve()
    raise UserError(
        f'checkpoint {folder}: no {CONFIG} in it, nor in pretrained_model or '
        'checkpoints/last/pretrained_model; give the folder that LeRobot saved'
    )


def _check_features(config: dict[str, Any], before: '_Pipeline', path: Path) -> tuple[str, ...]:
    """Check inputs and outputs against the robot, and return the cameras among them."""
    inputs = field(config, 'input_features', dict, path)
    outputs = field(config, 'output_features', dict, path)
    for name, feature in {**inputs, **outputs}.items():
        shape = feature.get('shape') if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not shape or not isinstance(feature.get('type'), str):
            raise UserError(f'{path}: feature {name} is {feature!r}, expected a type and a shape')

    renames = before.rename_map()
    visual = {name for name, feature in inputs.items() if feature['type'] == 'VISUAL'}
    empty = {f'observation.images.empty_camera_{i}' for i in range(config.get('empty_cameras', 0))}
    # What a base model had and the dataset did not: training went without it, and so does this.
    empty |= {name for name in visual if not before.saw(name)}
    names = robot_names(visual, renames)
    images = {names[name]: inputs[name]['shape'] for name in visual - empty}
    given = set(names.values())
    robot = {image_feature(camera): camera for camera in CAMERAS}
    if not images or set(images) - set(robot):
        raise UserError(
            f'{path}: the cameras differ. Missing here: {_list(set(robot) - set(images))}; '
            f'not on the robot: {_list(given - set(robot))}. The robot has {_list(robot)}; '
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
    known = {STATE, *visual, *renames.values()}
    others = set(inputs) - known
    if others:
        raise UserError(f'{path}: the robot does not give the input {_list(others)}')
    if config.get('n_obs_steps', 1) != 1:
        raise UserError(
            f'{path}: n_obs_steps is {config["n_obs_steps"]}; only policies of one observation '
            'at a time are supported'
        )
    return tuple(camera for feature, camera in robot.items() if feature in images)


class _Pipeline:
    """A pre- or postprocessor: its steps by name, in order, and its statistics."""

    def __init__(self, path: Path, normalizer: str) -> None:
        self._path = path
        self._normalizer = normalizer
        self.steps: dict[str, dict[str, Any]] = {}
        for step in field(json_object.read(path), 'steps', list, path):
            if not isinstance(step, dict) or not isinstance(step.get('config', {}), dict):
                raise UserError(f'{path}: a step is {step!r}, expected its name and config')
            # A class is imported and called with the config: only LeRobot's own are.
            name = str(step.get('registry_name') or step.get('class'))
            if 'registry_name' not in step and not name.startswith('lerobot.'):
                raise UserError(f'{path}: step {name} is not part of LeRobot; it is not run')
            self.steps[name] = step
        self._tensors: TensorFile | None = None
        if 'state_file' in self.steps.get(normalizer, {}):
            name = field(self.steps[normalizer], 'state_file', str, path)
            self._tensors = TensorFile(path.parent / Path(name).name)

    def rename_map(self) -> dict[str, str]:
        """Names in the dataset -> names in the policy."""
        config = self.steps.get('rename_observations_processor', {}).get('config', {})
        return field(config, 'rename_map', dict, self._path) if config else {}

    def saw(self, camera: str) -> bool:
        """Whether the dataset had the policy's camera, as far as the statistics tell.

        LeRobot saves those of all features of the dataset, under the dataset's names.
        """
        shapes = self._tensors.shapes if self._tensors else {}
        seen = {name.rpartition('.')[0] for name in shapes if name.startswith(image_feature(''))}
        here = robot_names([camera], self.rename_map())[camera]
        return not seen or camera in seen or here in seen

    def statistics(self, name: str) -> Statistics | None:
        """Return the saved statistics of a feature, by its name in the dataset or the policy.

        Raises UserError when a number is not finite or one is missing.
        """
        tensors = self._tensors
        if tensors is None:
            return None
        for known in (name, self.rename_map().get(name, name)):
            found = {
                statistic: tensors.values(key)
                for statistic in feature_statistics.NAMES
                if (key := f'{known}.{statistic}') in tensors.shapes
            }
            if found:
                size = len(JOINTS) if name in (STATE, ACTION) else IMAGE_SHAPE[2]
                return Statistics.checked(found, size, f'{tensors.path}: {known}')
        return None

    def check_equal(self, name: str, other: Statistics | None) -> None:
        """Refuse when a feature has other statistics here than in the other pipeline."""
        own = self.statistics(name)
        if own is None or other is None:
            return
        for statistic in own.values.keys() & other.values.keys():
            a, b = own.values[statistic], other.values[statistic]
            # One of them may have been rounded to bfloat16, which keeps 8 bits.
            if not np.allclose(a, b, rtol=1e-2, atol=1e-4):
                raise UserError(
                    f'{self._path}: {statistic} of {name} is {_numbers(a)}, but {_numbers(b)} in '
                    f'{POSTPROCESSOR}; save both with the statistics of one dataset'
                )

    def check_statistics(self, name: str, feature: dict[str, Any], modes: dict[str, str]) -> None:
        """Refuse a feature that LeRobot would leave unnormalised without a word, or break."""
        step = self._normalizer
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
        field(found, 'state_file', str, self._path)
        tensors = self._tensors
        assert tensors is not None
        channels = feature['shape'][0]
        for statistic in _STATISTICS[mode]:
            key = f'{name}.{statistic}'
            if key not in tensors.shapes:
                raise UserError(
                    f'{tensors.path}: no {key}, which {mode} needs; it has '
                    f"{_list(tensors.shapes)}. Save the checkpoint with its dataset's statistics"
                )
            if math.prod(tensors.shapes[key]) != channels:
                raise UserError(
                    f'{tensors.path}: {key} has shape {tensors.shapes[key]}, expected [{channels}]'
                )
        self._check_width(name, mode, tensors)

    def _check_width(self, name: str, mode: str, tensors: TensorFile) -> None:
        """Refuse what LeRobot divides by when it is not above zero."""
        first, second = (tensors.values(f'{name}.{s}') for s in _STATISTICS[mode])
        width = second if mode == 'MEAN_STD' else second - first
        if not (width > 0).all():
            i = int(np.argmin(np.where(np.isnan(width), -np.inf, width)))
            element = JOINTS[i] if name in (STATE, ACTION) else f'channel {i}'
            what = 'std' if mode == 'MEAN_STD' else ' to '.join(_STATISTICS[mode])
            raise UserError(
                f'{tensors.path}: {what} of {name} is {width[i]:g} for {element}, expected '
                'more than 0: it never moved in training, or the statistics are broken'
            )


def _numbers(values: tuple[float, ...]) -> str:
    return ', '.join(f'{value:.4g}' for value in values)


def _list(names: Any) -> str:
    return ', '.join(sorted(names)) or 'none'
