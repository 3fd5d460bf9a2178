"""Pieces into a LeRobot dataset, format 3.0: new, or appended to one; whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.compute_stats import compute_episode_stats
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.feature_utils import get_hf_features_from_features
from lerobot.datasets.utils import update_chunk_file_indices

from so101_episodes.bag import sync_all
from so101_policy.features import ACTION, JOINT_NAMES, STATE, image_feature
from so101_training.conversion import manifest
from so101_training.conversion.manifest import CONVERSION, REMARKS, TAKEN_OUT, Conversion
from so101_training.conversion.piece import LONGEST, Piece, Settings
from so101_training.conversion.source import Source
from so101_training.conversion.video import Codec, joined

# LeRobot's name of this robot (lerobot.robots.so_follower).
ROBOT = 'so101_follower'

_MB = 1 << 20


def write(
    staging: Path,
    base: Path | None,
    made: Sequence[tuple[Source, Piece]],
    settings: Settings,
    left_out: Mapping[Source, str],
) -> None:
    """Write the dataset to `staging`, which must not exist: that at `base`, and the new episodes.

    `base` must be of the same settings. Raises OSError.
    """
    before = Conversion.load(base) if base else Conversion(settings.to_json(), (), ())
    if base:
        _copy(base, staging)
        meta = LeRobotDatasetMetadata(_name(base), root=staging)
    else:
        features = _features(settings)
        meta = LeRobotDatasetMetadata.create(
            _name(staging), settings.fps, features, ROBOT, root=staging, use_videos=True
        )
    files = {camera: _videos(meta, camera, made, settings) for camera in settings.cameras}
    remarks = _write_tables(meta, made, files, settings)
    meta.finalize()
    manifest.extend(staging / REMARKS, remarks)
    conversion = Conversion(
        before.settings,
        (*before.episodes, *(_described(source, piece) for source, piece in made)),
        _still_out((*before.left_out, *_left_out(left_out)), [source for source, _ in made]),
    )
    text = json.dumps(conversion.to_json(), indent=2)
    (staging / CONVERSION).write_text(text + '\n')
    sync_all(staging)


def _features(settings: Settings) -> dict[str, dict[str, Any]]:
    width, height = settings.codec.size
    joints = {'dtype': 'float32', 'shape': (len(JOINT_NAMES),), 'names': list(JOINT_NAMES)}
    images = {
        'dtype': 'video',
        'shape': (height, width, 3),
        'names': ['height', 'width', 'channels'],
    }
    cameras = {image_feature(camera): dict(images) for camera in settings.cameras}
    return {ACTION: dict(joints), STATE: dict(joints), **cameras}


def _copy(base: Path, staging: Path) -> None:
    """Copy all there is: meta/, which is written to, and the rest, which is not, by hard links."""
    staging.mkdir()
    for entry in base.iterdir():
        if entry.name == 'meta':
            shutil.copytree(entry, staging / entry.name)
        elif entry.is_dir():
            shutil.copytree(entry, staging / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(staging / entry.name))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without them
        shutil.copy2(source, target)


def _videos(
    meta: LeRobotDatasetMetadata,
    camera: str,
    made: Sequence[tuple[Source, Piece]],
    settings: Settings,
) -> list[dict[str, Any]]:
    """Write a camera's videos, some episodes to a file; return where each episode is."""
    key = image_feature(camera)
    limit = meta.video_files_size_in_mb * _MB
    groups: list[list[Piece]] = []
    size = frames = 0
    for _, piece in made:
        own = piece.video(camera).stat().st_size
        long = frames + piece.frames > LONGEST * settings.fps
        if not groups or size + own > limit or long:
            groups.append([])
            size = frames = 0
        groups[-1].append(piece)
        size += own
        frames += piece.frames
    places = []
    assert meta.video_path is not None
    for chunk, file, group in _numbered(meta, f'videos/{key}', groups):
        path = meta.root / meta.video_path.format(
            video_key=key, chunk_index=chunk, file_index=file
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        joined([piece.video(camera) for piece in group], path, settings.fps)
        ends = list(accumulate(piece.frames for piece in group))
        for piece, end in zip(group, ends, strict=True):
            places.append(
                {
                    f'videos/{key}/chunk_index': chunk,
                    f'videos/{key}/file_index': file,
                    f'videos/{key}/from_timestamp': (end - piece.frames) / settings.fps,
                    f'videos/{key}/to_timestamp': end / settings.fps,
                }
            )
    if meta.total_episodes == 0:
        meta.update_video_info(key, _encoder(settings.codec))
    return places


def _numbered(
    meta: LeRobotDatasetMetadata, kind: str, groups: Sequence[list[Piece]]
) -> Iterable[tuple[int, int, list[Piece]]]:
    """Yield each group with the chunk and the number of its file, after those there are."""
    chunk, file = 0, -1
    if meta.episodes is not None and len(meta.episodes):
        last = meta.episodes[-1]
        chunk, file = last[f'{kind}/chunk_index'], last[f'{kind}/file_index']
    for group in groups:
        if file < 0:
            file = 0
        else:
            chunk, file = update_chunk_file_indices(chunk, file, meta.chunks_size)
        yield chunk, file, group


def _write_tables(
    meta: LeRobotDatasetMetadata,
    made: Sequence[tuple[Source, Piece]],
    videos: Mapping[str, list[dict[str, Any]]],
    settings: Settings,
) -> list[pa.Table]:
    """Write the frames' numbers to one parquet file, and what is known of each episode.

    Return the remarks on each.
    """
    remarks = []
    ((chunk, file, _),) = _numbered(meta, 'data', [[piece for _, piece in made]])
    path = meta.root / meta.data_path.format(chunk_index=chunk, file_index=file)
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = get_hf_features_from_features(meta.features).arrow_schema
    with pq.ParquetWriter(path, schema, compression='snappy', use_dictionary=True) as writer:
        for number, (source, piece) in enumerate(made):
            columns = _columns(meta, source.task, piece, settings.fps)
            arrays = [pa.array([*columns[field.name]], field.type) for field in schema]
            writer.write_table(pa.table(arrays, schema=schema))
            statistics = compute_episode_stats(
                columns, {name: meta.features[name] for name in columns}
            )
            of_images, found = piece.contents()
            remarks.append(manifest.table(meta.total_episodes, found))
            statistics |= {image_feature(c): of_images[c] for c in settings.cameras}
            place = {'data/chunk_index': chunk, 'data/file_index': file}
            for of_camera in videos.values():
                place |= of_camera[number]
            meta.save_episode(
                meta.total_episodes,
                piece.frames,
                [source.task],
                statistics,
                {**place, **_of_ours(source)},
            )
    return remarks


def _columns(
    meta: LeRobotDatasetMetadata, task: str, piece: Piece, fps: int
) -> dict[str, np.ndarray]:
    count, begin = piece.frames, meta.total_frames
    states, actions = piece.joints()
    meta.save_episode_tasks([task])
    return {
        ACTION: actions,
        STATE: states,
        'timestamp': np.arange(count) / fps,  # 32 bits on disk; LeRobot's statistics are of 64
        'frame_index': np.arange(count),
        'episode_index': np.full(count, meta.total_episodes),
        'index': np.arange(begin, begin + count),
        'task_index': np.full(count, meta.get_task_index(task)),
    }


def _encoder(codec: Codec) -> RGBEncoderConfig:
    """Return LeRobot's description of a codec, which it keeps in info.json."""
    preset = int(codec.preset) if codec.preset.isdecimal() else codec.preset
    return RGBEncoderConfig(
        vcodec=codec.vcodec,
        g=codec.g,
        crf=codec.crf,
        preset=preset,
        fast_decode=int(codec.fast_decode),
        extra_options=codec.extra,
    )


def _of_ours(source: Source) -> dict[str, str]:
    """Return the columns of meta/episodes that are not LeRobot's.

    The datasets that there are lack a new one: its readers must do without it.
    """
    return {
        'outcome': source.outcome,
        'reason': source.reason,
        'kind': source.kind,
        'source': source.name,
    }


def _described(source: Source, piece: Piece) -> dict[str, Any]:
    return {
        'source': str(source.folder),
        'recording': source.recording,
        'task': source.task,
        'outcome': source.outcome,
        'reason': source.reason,
        'frames': piece.frames,
        'remarks': piece.remarks,
    }


def _left_out(others: Mapping[Source, str]) -> list[dict[str, Any]]:
    return [
        {'source': str(source.folder), 'recording': source.recording, 'why': why}
        for source, why in others.items()
    ]


def _still_out(
    entries: Iterable[Mapping[str, Any]], made: Iterable[Source]
) -> tuple[Mapping[str, Any], ...]:
    """Return the last that was said of each recording that is not in the dataset now.

    That it was taken out stays said.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        name = entry['recording'] or entry['source']
        if found.get(name, {}).get('why') != TAKEN_OUT:
            found[name] = entry
    for source in made:
        found.pop(source.recording, None)
    return tuple(found.values())


def _name(folder: Path) -> str:
    return f'local/{folder.name.lstrip(".") or "dataset"}'
