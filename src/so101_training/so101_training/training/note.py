"""so101.json of a trained checkpoint: what the robot and a next run want to know."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from so101_description.joints import JOINTS
from so101_policy import json_object
from so101_policy.checkpoint import NOTE
from so101_policy.features import image_feature
from so101_policy.json_object import field
from so101_training.training.history import (
    Milestone,
    milestones_of_json,
    milestones_to_json,
)
from so101_training.training.training_set import TrainingSet

LIBRARIES = ('lerobot', 'torch', 'torchvision', 'transformers', 'accelerate')


def write(
    folder: Path,
    data: TrainingSet,
    cameras: Sequence[str],
    base: str | None,
    cache: str,
    milestones: Sequence[Milestone],
) -> None:
    """Write it into a checkpoint's folder.

    `base` is what the weights came from; `cache` where decoded frames were kept; the last of
    `milestones` is this checkpoint.
    """
    left_out = {image_feature(camera) for camera in set(data.cameras) - set(cameras)}
    note: dict[str, Any] = {
        'trained': True,
        'fps': data.fps,
        'tasks': list(data.tasks),
        'joints': list(JOINTS),
        'cameras': list(cameras),
        'base': base,
        'cache': cache,
        'dataset': {
            'name': data.folder.name,
            'episodes': data.episodes,
            'frames': data.frames,
        },
        'statistics': {
            name: {statistic: list(numbers) for statistic, numbers in of.values.items()}
            for name, of in data.statistics.items()
            if name not in left_out
        },
        'history': milestones_to_json(milestones),
        'versions': {library: version(library) for library in LIBRARIES},
    }
    (folder / NOTE).write_text(json.dumps(note, indent=4))


def read(folder: Path) -> tuple[str | None, str | None, list[Milestone]]:
    """Return base, cache and milestones of the checkpoint in `folder`; none of another trainer's.

    Raises UserError when the file is broken.
    """
    path = folder / NOTE
    if not path.is_file():
        return None, None, []
    found = json_object.read(path)
    base = field(found, 'base', (str, type(None)), path)
    cache = field(found, 'cache', str, path) if 'cache' in found else None
    return base, cache, milestones_of_json(found['history'], path) if 'history' in found else []
