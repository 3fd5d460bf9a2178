"""LeRobot's dataset without the excluded cameras: as if it had never had them.

Their videos are neither opened nor looked for. What is left out is left out of the metadata, which
the reader goes by in every process.
"""

from collections.abc import Collection
from typing import Any

from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.factory import make_train_eval_datasets

from so101_policy.features import image_feature
from so101_training.training.reproducible import SeededDataset
from so101_training.training.substitution import substituted


def make_datasets(
    config: TrainPipelineConfig, exclude_cameras: Collection[str]
) -> tuple[Any, Any | None]:
    """Return what LeRobot's make_train_eval_datasets does, without cameras by short name.

    The first dataset takes names of samples, as reproducible.NamedOrder gives them.
    """
    load = LeRobotDatasetMetadata._load_metadata

    def load_without(meta: LeRobotDatasetMetadata) -> None:
        load(meta)
        for name in map(image_feature, exclude_cameras):
            meta.info.features.pop(name, None)
            (meta.stats or {}).pop(name, None)

    with substituted(LeRobotDatasetMetadata, {'_load_metadata': load_without}):
        training, held_out = make_train_eval_datasets(config)
    return SeededDataset(training, config.seed or 0), held_out
