"""A LeRobot dataset as the trainer reads it: whole batches, none waited for.

It gives the samples that LeRobot's own dataset gives, with two differences: frames are made as
small as the policy makes them before they are transformed, not after, and the transforms of a
sample depend on nothing but the seed, the epoch and the sample.
"""

import math
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from huggingface_hub import constants, snapshot_download
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.dataset_reader import DatasetReader
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.utils.constants import ACTION, HF_LEROBOT_HUB_CACHE, IMAGENET_STATS, OBS_PREFIX
from rich.console import Console

from so101_node.error import UserError
from so101_training.training.augmentation import Augmentation
from so101_training.training.batches import FrameSource, TrainingDataset
from so101_training.training.frame_cache import FrameCache
from so101_training.training.rows import Rows
from so101_training.training.videos import Clip, VideoFrames

# What `cache` may be beside a folder.
AUTO, NONE = 'auto', 'none'
# Bytes that an automatic cache leaves free: a run of SmolVLA writes some checkpoints of 2 GB.
RESERVE = 10_000_000_000


def make_datasets(
    cfg: TrainPipelineConfig,
    exclude_cameras: Collection[str] = (),
    cache: Path | str = AUTO,
    console: Console | None = None,
) -> tuple[TrainingDataset, TrainingDataset | None]:
    """Return the dataset to train on and, with an eval_split, the one held out.

    Stands for LeRobot's make_train_eval_datasets. `exclude_cameras` are features, or their last
    words, which are then neither decoded nor in the metadata. `cache` is the folder for decoded
    frames, 'none' to decode them whenever they are drawn, or 'auto': beside the dataset where
    there is room, else none. What it does is said on `console`.

    Raises UserError when the dataset is not whole or not of videos, when a camera is not in it or
    none would be left, and when frames cannot be written to `cache`.
    """
    console = console or Console(stderr=True)
    meta = _metadata(cfg)
    _exclude(meta, exclude_cameras)
    _check_statistics(meta, cfg.dataset.use_imagenet_stats)
    episodes = cfg.dataset.episodes
    outside = [number for number in episodes or () if number >= meta.total_episodes]
    if outside or episodes == []:
        raise UserError(
            f'dataset.episodes {episodes}: {meta.root} has episodes 0 to {meta.total_episodes - 1}'
        )
    augmentation = _augmentation(cfg, console)
    table, rows = _read(cfg, meta, episodes)
    frames = _frames(meta.root, _clips(cfg, meta, rows), cache, console)
    if cfg.dataset.eval_split == 0.0:
        return TrainingDataset(meta, episodes, table, rows, frames, augmentation), None
    chosen = list(range(meta.total_episodes)) if episodes is None else episodes
    training, held_out = _split(meta, chosen, cfg.dataset.eval_split)
    return (
        TrainingDataset(meta, training, *_read(cfg, meta, training), frames, augmentation),
        TrainingDataset(meta, held_out, *_read(cfg, meta, held_out), frames, None),
    )


def _augmentation(cfg: TrainPipelineConfig, console: Console) -> Augmentation | None:
    transforms = cfg.dataset.image_transforms
    if not transforms.enable:
        return None
    try:
        made = Augmentation(transforms, cfg.seed or 0)
    except (ValueError, TypeError) as error:
        raise UserError(f'dataset.image_transforms: {error}') from error
    if made.slow:
        names = ', '.join(made.slow)
        console.print(f'image transforms that take longer, computed as LeRobot does: {names}')
    return made


def _metadata(cfg: TrainPipelineConfig) -> LeRobotDatasetMetadata:
    dataset = cfg.dataset
    if dataset.streaming or dataset.repo_type != 'dataset':
        raise UserError('dataset.streaming is not supported: frames are drawn from all of it')
    try:
        meta = LeRobotDatasetMetadata(
            dataset.repo_id, root=dataset.root, revision=dataset.revision
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f'no dataset {dataset.root or dataset.repo_id}: {" ".join(str(error).split())}; '
            'give the folder that so101 convert wrote as dataset.root'
        ) from error
    if meta.total_episodes == 0 or meta.episodes is None or meta.tasks is None:
        raise UserError(f'{meta.root} has no episodes')
    return meta


def _exclude(meta: LeRobotDatasetMetadata, exclude_cameras: Collection[str]) -> None:
    """Take cameras out of the metadata. Raises UserError when that is not possible."""
    cameras = {key.rpartition('.')[2]: key for key in meta.camera_keys}
    names = ', '.join(cameras)
    keys = {cameras.get(name, name) for name in exclude_cameras}
    unknown = keys - set(cameras.values())
    if unknown:
        raise UserError(f'no camera {", ".join(sorted(unknown))} in {meta.root}: it has {names}')
    if keys and keys == set(cameras.values()):
        raise UserError(f'all cameras of {meta.root} are excluded; leave at least one of {names}')
    for key in keys:
        del meta.info.features[key]
        if meta.stats is not None:
            meta.stats.pop(key, None)
    others = {*meta.image_keys, *meta.depth_keys}
    if others or meta.has_language_columns:
        what = ', '.join(sorted(others)) or 'its language columns'
        raise UserError(
            f'{meta.root} has {what} beside videos in colour, which is not supported; '
            'exclude such cameras, or train with lerobot-train'
        )


def _check_statistics(meta: LeRobotDatasetMetadata, imagenet: bool) -> None:
    """See that what is normalised has statistics; those of images become ImageNet's if wanted."""
    stats = meta.stats = meta.stats or {}
    if imagenet:
        for key in meta.camera_keys:
            stats[key] = {
                **stats.get(key, {}),
                **{name: torch.tensor(value) for name, value in IMAGENET_STATS.items()},
            }
    wanted = [key for key in meta.features if key == ACTION or key.startswith(OBS_PREFIX)]
    missing = [key for key in wanted if key not in stats]
    if missing:
        raise UserError(
            f'{meta.root}/meta/stats.json lacks {", ".join(missing)}, without which nothing is '
            'normalised; convert the dataset again'
        )


def _read(
    cfg: TrainPipelineConfig, meta: LeRobotDatasetMetadata, episodes: list[int] | None
) -> tuple[datasets.Dataset, Rows]:
    """Return LeRobot's table of episodes, None for all, and their rows."""
    reader = DatasetReader(
        meta,
        meta.root,
        episodes,
        cfg.tolerance_s,
        cfg.dataset.video_backend,
        resolve_delta_timestamps(cfg.trainable_config, meta),
        image_transforms=None,
        return_uint8=True,
    )
    absent = [path for path in reader.get_episodes_file_paths() if not (meta.root / path).exists()]
    if absent:
        _fetch(cfg, meta, sorted(map(str, absent)))
        reader.root = meta.root
    reader.load_and_activate()
    features = {
        key: feature for key, feature in meta.features.items() if feature['dtype'] != 'video'
    }
    numbers = range(meta.total_episodes) if episodes is None else episodes
    lengths = dict(zip(range(meta.total_episodes), meta.episodes['length'], strict=True))
    rows = Rows(
        reader.hf_dataset.data.table,
        features,
        reader.delta_indices or {},
        {number: lengths[number] for number in numbers},
    )
    return reader.hf_dataset, rows


def _fetch(cfg: TrainPipelineConfig, meta: LeRobotDatasetMetadata, absent: list[str]) -> None:
    """Get files of the dataset from the hub, unless it is not to be asked."""
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f'{meta.root} lacks {absent[0]} and {len(absent) - 1} other files; restore them, '
            'or exclude the camera; with HF_HUB_OFFLINE=0 they are fetched from the hub'
        )
    where = {'local_dir': meta.root} if cfg.dataset.root else {'cache_dir': HF_LEROBOT_HUB_CACHE}
    meta.root = Path(
        snapshot_download(
            meta.repo_id,
            repo_type='dataset',
            revision=meta.revision,
            allow_patterns=absent,
            **where,
        )
    )


def _clips(cfg: TrainPipelineConfig, meta: LeRobotDatasetMetadata, rows: Rows) -> list[Clip]:
    clips = []
    for episode in map(int, np.unique(rows.episode)):
        times = rows.times(episode)
        entry = meta.episodes[episode]
        for camera in meta.video_keys:
            height, width = meta.features[camera]['shape'][:2]
            clips.append(
                Clip(
                    camera,
                    episode,
                    meta.root / meta.get_video_file_path(episode, camera),
                    entry[f'videos/{camera}/from_timestamp'] + times,
                    cfg.tolerance_s,
                    (height, width),
                    policy_size(cfg.trainable_config, height, width),
                )
            )
    return clips


def policy_size(config: Any, height: int, width: int) -> tuple[int, int]:
    """Return the height and width that a policy itself makes an image of, without its padding.

    That is SmolVLA's arithmetic. Larger ones are not made, and other policies get what there is.
    """
    if getattr(config, 'type', '') != 'smolvla' or config.resize_imgs_with_padding is None:
        return height, width
    wide, high = config.resize_imgs_with_padding
    small = _within(height, width, high, wide)
    # An image of this size is to be left alone by the policy: rounding may have taken a pixel.
    if small[0] > height or small[1] > width or _within(*small, high, wide) != small:
        return height, width
    return small


def _within(height: int, width: int, high: int, wide: int) -> tuple[int, int]:
    ratio = max(width / wide, height / high)
    return int(height / ratio), int(width / ratio)


def _frames(root: Path, clips: list[Clip], cache: Path | str, console: Console) -> FrameSource:
    if cache == NONE:
        return VideoFrames(clips)
    automatic = cache == AUTO
    folder = root.resolve().parent if automatic else Path(cache)
    made = FrameCache(folder / f'{root.resolve().name}.frames', clips)
    if automatic:
        needed, free = made.missing_bytes, shutil.disk_usage(folder).free
        if needed and needed + RESERVE > free:
            console.print(
                f'frames are decoded whenever they are drawn: keeping them takes '
                f'{needed / 1e9:.0f} GB, and {folder} has {free / 1e9:.0f} GB, of which '
                f'{RESERVE / 1e9:.0f} stay free'
            )
            return VideoFrames(clips)
    made.make(console)
    return made


def _split(
    meta: LeRobotDatasetMetadata, episodes: Sequence[int], share: float
) -> tuple[list[int], list[int]]:
    """Return episodes to train on and to hold out, as LeRobot does: the last ones of each task."""
    by_task: dict[str, list[int]] = {}
    for episode in episodes:
        tasks = meta.episodes[episode]['tasks']
        by_task.setdefault(tasks[0] if tasks else '', []).append(episode)
    training: list[int] = []
    held_out: list[int] = []
    for members in by_task.values():
        count = len(members) - math.ceil(len(members) * share)
        training += members[:count]
        held_out += members[count:]
    if not training:
        raise UserError(
            f'dataset.eval_split {share} leaves none of {len(episodes)} episodes to train on; '
            'give a smaller one'
        )
    return training, held_out
