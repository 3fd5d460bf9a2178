"""What is known of a checkpoint's training beside its weights, from files on this machine."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from so101_description.cameras import CAMERAS
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import json_object
from so101_policy.feature_statistics import Statistics
from so101_policy.features import ACTION, STATE, image_feature

# LeRobot's, beside the weights and in a dataset's folder (format 3.0).
TRAIN_CONFIG = 'train_config.json'
INFO = 'meta/info.json'
STATISTICS = 'meta/stats.json'
TASKS = 'meta/tasks.parquet'

# Features of the robot and the numbers in each of their statistics; others are not looked at.
_SIZES = {STATE: len(JOINTS), ACTION: len(JOINTS)} | {image_feature(c): 3 for c in CAMERAS}


@dataclass(frozen=True)
class Training:
    """Empty where unknown. Features carry the dataset's names.

    `trained` is false of random weights alone, which say so.
    """

    trained: bool = True
    fps: float | None = None
    tasks: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of state and action
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # height, width
    statistics: Mapping[str, Statistics] = field(default_factory=dict)


def of_note(path: Path) -> Training:
    """Read it from so101.json; empty when that is not there.

    Raises UserError for a field of another type than it should be.
    """
    if not path.exists():
        return Training()
    note = json_object.read(path)
    names: dict[str, tuple[str, ...]] = {}
    if 'joints' in note:
        joints = json_object.texts(note, 'joints', path)
        names = {STATE: joints, ACTION: joints}
    found = json_object.field(note, 'statistics', dict, path) if 'statistics' in note else {}
    return Training(
        trained=json_object.field(note, 'trained', bool, path) if 'trained' in note else True,
        fps=rate(note, path) if 'fps' in note else None,
        tasks=json_object.texts(note, 'tasks', path) if 'tasks' in note else (),
        names=names,
        statistics=statistics(found, path),
    )


def of_dataset(train_config: Path) -> Training:
    """Read it from the dataset that train_config.json names; empty when that is not here.

    Raises UserError when a file of the dataset is broken.
    """
    config = json_object.read(train_config)
    return of_folder(
        _dataset(json_object.field(config, 'dataset', dict, train_config), train_config)
    )


def of_folder(folder: Path) -> Training:
    """Read it from a dataset's folder; empty when there is none.

    Raises UserError when a file of the dataset is broken.
    """
    path = folder / INFO
    if not path.is_file():
        return Training()
    info = json_object.read(path)
    features = json_object.field(info, 'features', dict, path)
    described = folder / STATISTICS
    tasks = folder / TASKS
    return Training(
        fps=rate(info, path),
        tasks=_tasks(tasks) if tasks.is_file() else (),
        names={
            name: names
            for name in (STATE, ACTION)
            if (names := _names(features.get(name), f'{path}: {name}'))
        },
        sizes={
            name: size
            for name in map(image_feature, CAMERAS)
            if (size := _size(features.get(name)))
        },
        statistics=statistics(json_object.read(described), described)
        if described.is_file()
        else {},
    )


def rate(values: Mapping[str, Any], where: object) -> float:
    fps = float(json_object.field(values, 'fps', (int, float), where))
    if not (math.isfinite(fps) and fps > 0):
        raise UserError(f'{where}: fps is {fps:g}, expected actions per second')
    return fps


def doubts_of_names(feature: str, names: tuple[str, ...]) -> list[str]:
    """Hold a dataset's joint names against the robot's.

    Raises UserError when they are the robot's in another order; returns what is only likely.
    """
    plain = tuple(name.removeprefix('main_').removesuffix('.pos') for name in names)
    if plain == JOINTS:
        return []
    text = f'{feature} of training holds {", ".join(names)}, the robot has {", ".join(JOINTS)}'
    if sorted(plain) == sorted(JOINTS):
        raise UserError(f'{text}: another order; record the dataset in the order of the robot')
    return [text]


def _dataset(config: dict[str, Any], where: Path) -> Path:
    """Return where LeRobot looks for the dataset (lerobot.configs.default)."""
    if config.get('root') is not None:
        return Path(json_object.field(config, 'root', str, where)).expanduser()
    return lerobot_home() / json_object.field(config, 'repo_id', str, where)


def lerobot_home() -> Path:
    """Return the folder of LeRobot's datasets by name (lerobot.utils.constants)."""
    cache = os.environ.get('HF_HOME', '~/.cache/huggingface')
    return Path(os.environ.get('HF_LEROBOT_HOME', f'{cache}/lerobot')).expanduser()


def statistics(found: Mapping[str, Any], where: object) -> dict[str, Statistics]:
    checked = {}
    for name in found.keys() & _SIZES.keys():
        values = json_object.field(found, name, dict, where)
        checked[name] = Statistics.checked(values, _SIZES[name], f'{where}: {name}')
    return checked


def _names(feature: Any, where: str) -> tuple[str, ...]:
    names = feature.get('names') if isinstance(feature, dict) else None
    if isinstance(names, dict) and len(names) == 1:  # format 2 puts them under one heading
        (names,) = names.values()
    if names is None:
        return ()
    return json_object.texts({'names': names}, 'names', where)


def _size(feature: Any) -> tuple[int, int] | None:
    """Return height and width of an image feature, whose axes are named."""
    if not isinstance(feature, dict):
        return None
    shape, names = feature.get('shape'), feature.get('names')
    if not (isinstance(shape, list) and isinstance(names, list) and len(shape) == len(names)):
        return None
    axes = dict(zip(names, shape, strict=True))
    height, width = axes.get('height'), axes.get('width')
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _tasks(path: Path) -> tuple[str, ...]:
    # Imported late: a robot without the dataset needs neither its time nor its memory.
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f'{path}: not a parquet file: {error}') from error
    # The texts are the index of a pandas table, which some versions leave without a name.
    for column in ('task', '__index_level_0__'):
        if column in table.column_names:
            return tuple(str(task) for task in table.column(column).to_pylist())
    raise UserError(f'{path}: no tasks in it; it has {", ".join(table.column_names)}')
