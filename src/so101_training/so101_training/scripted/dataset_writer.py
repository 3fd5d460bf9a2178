"""A LeRobot dataset v3.0 of scripted scenes, written with as little as that takes."""

import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.frame import PictureType

from so101_policy.features import ACTION, JOINT_NAMES, STATE
from so101_training.scripted.drawing import Picture
from so101_training.scripted.scene import Scene

FPS = 30

# x264's: quality, and frames from keyframe to keyframe, as the suite's conversion has them.
_QUALITY, _GROUP = 23, 2

_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_SAMPLED = 15  # every so many pictures count for a camera's statistics


class _Film:
    """One camera's video files, several episodes in each."""

    def __init__(self, folder: Path, preset: str) -> None:
        self._folder, self._preset = folder, preset
        self.file = -1
        self.frames = 0
        self._container: Any = None

    def begin(self, size: tuple[int, int]) -> None:
        """Begin another file."""
        self.end()
        self.file += 1
        self.frames = 0
        self._folder.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._folder / f'file-{self.file:03d}.mp4'), 'w')
        self._stream = self._container.add_stream(
            'libx264',
            rate=FPS,
            options={'crf': f'{_QUALITY}', 'g': f'{_GROUP}', 'preset': self._preset},
        )
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.thread_count = 1

    def add(self, picture: Picture, first: bool) -> None:
        frame = av.VideoFrame.from_ndarray(picture, 'rgb24')
        frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
        if first:  # an episode begins with a keyframe
            frame.pict_type = PictureType.I
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def end(self) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()


def write_dataset(
    folder: Path,
    scenes: Iterable[Scene],
    size: tuple[int, int] = (120, 160),
    cameras: Sequence[str] = ('wrist', 'overhead'),
    per_file: int = 1000,
    labels: bool = True,
    preset: str = 'veryfast',
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Write the scenes; `per_file`: episodes in one video; `labels`: outcome, reason, source."""
    films = {
        camera: _Film(folder / f'videos/observation.images.{camera}/chunk-000', preset)
        for camera in cameras
    }
    tables: list[pa.Table] = []
    rows: list[dict[str, Any]] = []
    tasks: dict[str, int] = {}
    total = 0
    for number, scene in enumerate(scenes):
        n = scene.length
        task = tasks.setdefault(scene.task, len(tasks))
        columns = {
            STATE: scene.motion.state,
            ACTION: scene.motion.action,
            'timestamp': (np.arange(n) / FPS).astype(np.float32),
            'frame_index': np.arange(n),
            'episode_index': np.full(n, number),
            'index': np.arange(total, total + n),
            'task_index': np.full(n, task),
        }
        tables.append(_table(columns))
        row: dict[str, Any] = {
            'episode_index': number, 'tasks': [scene.task], 'length': n,
            'data/chunk_index': 0, 'data/file_index': 0,
            'dataset_from_index': total, 'dataset_to_index': total + n,
        }  # fmt: skip
        for name, values in columns.items():
            for key, value in _statistics(values.reshape(n, -1).astype(np.float64)).items():
                row[f'stats/{name}/{key}'] = value.tolist()
        for camera, film in films.items():
            if number % per_file == 0:
                film.begin(size)
            start, sampled = film.frames, []
            for index in range(n):
                picture = scene.cameras[camera](index)
                film.add(picture, index == 0)
                if index % _SAMPLED == 0:
                    sampled.append(picture[::4, ::4].reshape(-1, 3))
            key = f'observation.images.{camera}'
            row |= {
                f'videos/{key}/chunk_index': 0, f'videos/{key}/file_index': film.file,
                f'videos/{key}/from_timestamp': start / FPS,
                f'videos/{key}/to_timestamp': film.frames / FPS,
            }  # fmt: skip
            for name, value in _statistics(np.concatenate(sampled) / 255.0).items():
                nested = value.tolist() if name == 'count' else [[[v]] for v in value.tolist()]
                row[f'stats/{key}/{name}'] = nested
        if labels:
            row |= {'outcome': scene.outcome, 'reason': scene.reason, 'source': f'take_{number}'}
        row |= {'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0}
        rows.append(row)
        total += n
        advance()
    for film in films.values():
        film.end()
    _write_tables(folder, tables, rows, tasks)
    joined = pa.concat_tables(tables)
    _write_info(folder, cameras, size, len(rows), total, len(tasks))
    _write_statistics(folder, joined, rows, cameras)


def _table(columns: dict[str, np.ndarray]) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        if values.ndim == 2:
            flat = pa.array(values.astype(np.float32).ravel(), pa.float32())
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)


@np.errstate(invalid='ignore')
def _statistics(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return statistics as LeRobot names them; not finite ones of values that are not."""
    found = {
        'min': values.min(axis=0), 'max': values.max(axis=0), 'mean': values.mean(axis=0),
        'std': values.std(axis=0), 'count': np.array([len(values)]),
    }  # fmt: skip
    for quantile in _QUANTILES:
        found[f'q{round(100 * quantile):02d}'] = np.quantile(values, quantile, axis=0)
    return found


def _write_tables(
    folder: Path, tables: list[pa.Table], rows: list[dict[str, Any]], tasks: dict[str, int]
) -> None:
    for path in ('data/chunk-000', 'meta/episodes/chunk-000'):
        (folder / path).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables), folder / 'data/chunk-000/file-000.parquet')
    pq.write_table(pa.Table.from_pylist(rows), folder / 'meta/episodes/chunk-000/file-000.parquet')
    frame = pd.DataFrame({'task_index': list(tasks.values())}, index=pd.Index(tasks, name='task'))
    frame.to_parquet(folder / 'meta/tasks.parquet')


def _write_info(
    folder: Path, cameras: Sequence[str], size: tuple[int, int], episodes: int, frames: int,
    tasks: int,
) -> None:  # fmt: skip
    joints = {'dtype': 'float32', 'shape': [6], 'names': list(JOINT_NAMES)}
    number = {'shape': [1], 'names': None}
    video = {
        'dtype': 'video',
        'shape': [*size, 3],
        'names': ['height', 'width', 'channels'],
        'info': {
            'video.height': size[0], 'video.width': size[1], 'video.codec': 'h264',
            'video.pix_fmt': 'yuv420p', 'video.fps': FPS, 'video.channels': 3,
            'has_audio': False, 'is_depth_map': False,
        },
    }  # fmt: skip
    info = {
        'codebase_version': 'v3.0', 'robot_type': 'so101_follower', 'total_episodes': episodes,
        'total_frames': frames, 'total_tasks': tasks, 'chunks_size': 1000,
        'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200, 'fps': FPS,
        'splits': {'train': f'0:{episodes}'},
        'data_path': 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
        'video_path': 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
        'features': {
            STATE: joints,
            ACTION: joints,
            **{f'observation.images.{camera}': video for camera in cameras},
            'timestamp': {'dtype': 'float32', **number},
            **{
                name: {'dtype': 'int64', **number}
                for name in ('frame_index', 'episode_index', 'index', 'task_index')
            },
        },
    }  # fmt: skip
    (folder / 'meta/info.json').write_text(json.dumps(info, indent=4))


def _write_statistics(
    folder: Path, joined: pa.Table, rows: list[dict[str, Any]], cameras: Sequence[str]
) -> None:
    whole: dict[str, Any] = {}
    for name in joined.column_names:
        column = joined[name].combine_chunks()
        flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
        values = flat.to_numpy(zero_copy_only=False).astype(np.float64).reshape(len(column), -1)
        whole[name] = {key: value.tolist() for key, value in _statistics(values).items()}
    for camera in cameras:
        key = f'observation.images.{camera}'
        each = {
            name: np.array([row[f'stats/{key}/{name}'] for row in rows])
            for name in ('min', 'max', 'mean', 'std', 'count', 'q01', 'q10', 'q50', 'q90', 'q99')
        }
        mean = each['mean'].mean(axis=0)
        spread = (each['std'] ** 2 + (each['mean'] - mean) ** 2).mean(axis=0)
        whole[key] = {name: value.mean(axis=0).tolist() for name, value in each.items()}
        whole[key] |= {
            'min': each['min'].min(axis=0).tolist(), 'max': each['max'].max(axis=0).tolist(),
            'std': np.sqrt(spread).tolist(), 'count': each['count'].sum(axis=0).tolist(),
        }  # fmt: skip
    (folder / 'meta/stats.json').write_text(json.dumps(whole, indent=4))
