"""The dataset of a training, as its files say, held against the robot before anything starts.

Reads JSON and the texts of the tasks only: no video, no torch. Facts about the format: LeRobot
0.6.1, `lerobot.datasets.dataset_metadata`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import feature_statistics, json_object, training
from so101_policy.feature_statistics import Statistics
from so101_policy.features import ACTION, STATE, image_feature
from so101_policy.json_object import field
from so101_policy.training import INFO, STATISTICS

VERSION = 'v3.0'  # lerobot.datasets.dataset_metadata.CODEBASE_VERSION

# The robot's cameras give 30 images a second: no policy of another rate can be run on it, except
# one that skips images.
CAMERA_RATE = 30

_CURE = 'compute them again: so101 check --fix, or so101 convert'


@dataclass(frozen=True)
class TrainingSet:
    """A dataset that fits the robot. Statistics are those of the data, in dataset units."""

    folder: Path
    fps: float
    episodes: int
    frames: int
    cameras: tuple[str, ...]  # short names, of CAMERAS, in their order
    tasks: tuple[str, ...]
    statistics: Mapping[str, Statistics]
    doubts: tuple[str, ...]  # what is likely, but not certainly, wrong

    def cameras_without(
        self, excluded: Collection[str], others: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Return the cameras but for those excluded; all by short name.

        Raises UserError when one is excluded that is neither the dataset's nor one of `others`,
        which a policy saw that shall now do without; and when none is left.
        """
        left = tuple(camera for camera in self.cameras if camera not in excluded)
        unknown = sorted(set(excluded) - set(self.cameras) - set(others))
        if unknown or not left:
            names = ', '.join(unknown or sorted(excluded))
            wrong = 'not in' if unknown else 'no camera is left of'
            raise UserError(
                f'exclude_cameras: {names}: {wrong} {self.folder}, which has '
                f'{", ".join(self.cameras)}'
            )
        return left


def read(folder: Path) -> TrainingSet:
    """Check the dataset in `folder`. Raises UserError, naming the file, the value and the cure."""
    try:
        return _read(folder)
    except OSError as error:
        raise UserError(f'{error.filename}: {error.strerror}; see to the files') from error


def find(name: str) -> Path:
    """Return the folder of a dataset: a path, or a name under LeRobot's own folder.

    Raises UserError when there is none.
    """
    if not name:
        raise UserError('no dataset; give --dataset FOLDER, or dataset in the YAML file')
    home = training.lerobot_home()
    for folder in (Path(name).expanduser(), home / name):
        if folder.is_dir():
            return folder.resolve()
    fetch = f'HF_HUB_OFFLINE=0 hf download --repo-type dataset {name} --local-dir FOLDER'
    or_fetch = f'; one of the hub is fetched by: {fetch}' if name.count('/') == 1 else ''
    raise UserError(
        f'dataset {name}: no such folder, nor {home / name}; give the folder that so101 convert '
        f'wrote{or_fetch}'
    )


def _read(folder: Path) -> TrainingSet:
    path = folder / INFO
    if not path.is_file():
        raise UserError(f'dataset {folder}: no {INFO} in it; give the folder of a LeRobot dataset')
    info = json_object.read(path)
    version = field(info, 'codebase_version', str, path)
    if version != VERSION:
        raise UserError(
            f'{path}: the dataset is of LeRobot format {version}, expected {VERSION}; convert it: '
            'python -m lerobot.scripts.convert_dataset_v21_to_v30'
        )
    if not (folder / STATISTICS).is_file():
        raise UserError(f'{folder / STATISTICS}: missing; {_CURE}')
    found = training.of_folder(folder)
    assert found.fps is not None
    if CAMERA_RATE % found.fps:
        raise UserError(
            f'{path}: fps is {found.fps:g}; the cameras give {CAMERA_RATE} images a second, so it '
            f'must be {CAMERA_RATE} or a whole part of it; convert the episodes again'
        )
    features = field(info, 'features', dict, path)
    cameras = _cameras(features, path)
    doubts = _sizes(found.sizes, cameras, path)
    for name in (STATE, ACTION):
        _check_joints(features.get(name), name, path)
        doubts += training.doubts_of_names(name, found.names.get(name, JOINTS))
    if not found.tasks:
        raise UserError(f'{folder / training.TASKS}: no task in it; so101 check names the cure')
    where = folder / STATISTICS
    doubts += _check_statistics(found.statistics, cameras, where)
    episodes = field(info, 'total_episodes', int, path)
    frames = field(info, 'total_frames', int, path)
    if episodes < 1 or frames < 1:
        raise UserError(f'{path}: {episodes} episodes, {frames} frames: nothing to train on')
    used = {STATE, ACTION, *map(image_feature, cameras)}
    return TrainingSet(
        folder=folder,
        fps=found.fps,
        episodes=episodes,
        frames=frames,
        cameras=cameras,
        tasks=found.tasks,
        statistics={name: of for name, of in found.statistics.items() if name in used},
        doubts=tuple(doubts),
    )


def _cameras(features: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    seen = {
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get('dtype') in ('video', 'image')
    }
    robot = {image_feature(camera): camera for camera in CAMERAS}
    if not seen or seen - set(robot):
        raise UserError(
            f'{path}: the cameras differ. The dataset has {", ".join(sorted(seen)) or "none"}; '
            f'the robot has {", ".join(sorted(robot))}; rename them in the dataset'
        )
    return tuple(camera for name, camera in robot.items() if name in seen)


def _sizes(
    sizes: Mapping[str, tuple[int, int]], cameras: Collection[str], path: Path
) -> list[str]:
    height, width, _ = IMAGE_SHAPE
    return [
        f'{path}: the {camera} images have {size[1]}x{size[0]} pixels, the camera gives '
        f'{width}x{height}: on the robot the model would see another field of view'
        for camera in cameras
        if (size := sizes.get(image_feature(camera), (height, width))) != (height, width)
    ]


def _check_joints(feature: Any, name: str, path: Path) -> None:
    shape = feature.get('shape') if isinstance(feature, dict) else None
    if shape != [len(JOINTS)]:
        raise UserError(
            f'{path}: {name} has shape {shape}, the robot has [{len(JOINTS)}] '
            f'({", ".join(JOINTS)}); train on a dataset of this robot'
        )


def _check_statistics(
    statistics: Mapping[str, Statistics], cameras: Collection[str], where: Path
) -> list[str]:
    """Refuse statistics by which LeRobot would normalise wrongly, or silently not at all."""
    doubts = []
    for name in (STATE, ACTION, *map(image_feature, cameras)):
        values = statistics[name].values if name in statistics else {}
        if lacking := [of for of in ('mean', 'std', 'min', 'max') if of not in values]:
            raise UserError(f'{where}: no {", ".join(lacking)} of {name}; {_CURE}')
        statistics[name].check_order(name)
    for name in (STATE, ACTION):
        for joint, width in zip(JOINTS, statistics[name].values['std'], strict=True):
            if width <= 0:
                raise UserError(
                    f'{where}: std of {name} is {width:g} for {joint}: it never moved, and the '
                    f'training would divide by it; see so101 check, and {_CURE}'
                )
        doubts += feature_statistics.doubts_of_units(name, statistics[name])
    return doubts + feature_statistics.doubts_of_agreement(statistics[STATE], statistics[ACTION])
