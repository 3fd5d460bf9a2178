"""A new dataset without some episodes: what --fix writes.

Videos are copied packet by packet, never encoded again: the pictures are what they were, bit for
bit. Between two episodes of a new file up to a group of pictures may be left that belongs to
none, where an episode did not begin or end at a keyframe; LeRobot reads by time and never sees it.

LeRobot's own dataset_tools.delete_episodes encodes such files again, and drops columns of
meta/episodes that it does not know (outcome, reason, source) and the manifest.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from av.error import FFmpegError
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats

from so101_episodes.bag import sync, sync_all
from so101_node.error import UserError
from so101_policy.training import INFO, STATISTICS
from so101_training.checks.dataset import Dataset, Episode
from so101_training.conversion.manifest import CONVERSION, REMARKS, TAKEN_OUT, Conversion

_STATS = 'stats/'
_INDICES = ('episode_index', 'index', 'task_index')  # what is renumbered

Advance = Callable[[int, int], None]


def left_out(
    source: Dataset, bad: Sequence[int], exclude: Sequence[int], keep: Sequence[int]
) -> set[int]:
    """Return the episodes to leave out. Raises UserError for numbers that there are not."""
    if odd := sorted({*exclude, *keep} - set(source.episodes)):
        raise UserError(
            f'{source.folder} has no episode {", ".join(map(str, odd))}; it has '
            f'{min(source.episodes)} to {max(source.episodes)}'
        )
    if both := sorted(set(exclude) & set(keep)):
        raise UserError(f'--exclude and --keep both name {", ".join(map(str, both))}')
    gone = (set(bad) | set(exclude)) - set(keep)
    if gone >= set(source.episodes):
        raise UserError(
            'every episode would be left out; check it without the camera that is bad '
            '(--exclude-cameras), or name what to --keep'
        )
    return gone


def trim(source: Dataset, out: Path, gone: set[int], advance: Advance = lambda a, b: None) -> None:
    """Write `source` without the episodes `gone` to `out`, whole or not at all.

    Raises UserError when `out` is there already, when it cannot be written, and for a source that
    cannot be read.
    """
    if out.exists():
        raise UserError(f'{out} is there already; give another folder, or remove it')
    draft = out.parent / f'.{out.name}.fixing'
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _Trim(source, draft, gone, advance).write()
        sync_all(draft)
        draft.rename(out)
        sync(out.parent)
    except (OSError, FFmpegError, pa.ArrowException, KeyError, ValueError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        text = ' '.join(str(error).split())
        raise UserError(f'{out} was not written: {type(error).__name__}: {text}') from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


class _Trim:
    def __init__(self, source: Dataset, out: Path, gone: set[int], advance: Advance) -> None:
        self._source = source
        self._out = out
        self._kept = {n: e for n, e in sorted(self._source.episodes.items()) if n not in gone}
        self._new = {old: new for new, old in enumerate(self._kept)}
        self._advance = advance

    def write(self) -> None:
        places = self._videos()
        tasks = self._tasks()
        data = self._data(tasks)
        rows = self._episodes(places, data)
        self._statistics(rows)
        self._manifest()
        self._conversion()
        self._info(rows, len(tasks))

    def _videos(self) -> dict[tuple[int, str], tuple[float, float]]:
        """Copy the videos; return from when to when each kept episode is, in its file."""
        files: dict[tuple[str, int, int], list[Episode]] = {}
        for episode in self._kept.values():
            for camera, (chunk, file, _, _) in episode.videos.items():
                files.setdefault((camera, chunk, file), []).append(episode)
        places: dict[tuple[int, str], tuple[float, float]] = {}
        for done, ((camera, chunk, file), kept) in enumerate(sorted(files.items())):
            self._advance(done, len(files))
            path = self._source.video(camera, chunk, file)
            target = self._out / path.relative_to(self._source.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            there = [
                e for e in self._source.episodes.values() if e.videos[camera][:2] == (chunk, file)
            ]
            spans = {e.number: e.videos[camera][2:] for e in kept}
            if len(kept) == len(there):
                shutil.copyfile(path, target)
            else:
                spans = copied(path, target, spans, self._source.fps)
            places |= {(number, camera): span for number, span in spans.items()}
        self._advance(len(files), len(files))
        return places

    def _tasks(self) -> dict[int, int]:
        """Write the tasks that are left; return the new index of each old one."""
        table = pq.read_table(self._source.folder / 'meta/tasks.parquet').to_pandas()
        if 'task' in table.columns:
            table = table.set_index('task')
        used = set()
        for place in {episode.data for episode in self._kept.values()}:
            rows = pq.read_table(
                self._source.data(*place), columns=['episode_index', 'task_index']
            )
            mine = pc.is_in(rows['episode_index'], pa.array(list(self._kept)))
            used |= set(rows.filter(mine)['task_index'].to_pylist())
        left = table[table['task_index'].isin(used)].sort_values('task_index')
        new = {int(old): index for index, old in enumerate(left['task_index'])}
        frame = pd.DataFrame(
            {'task_index': list(new.values())}, index=pd.Index(left.index, name='task')
        )
        (self._out / 'meta').mkdir(parents=True, exist_ok=True)
        frame.to_parquet(self._out / 'meta/tasks.parquet')
        return new

    def _data(self, tasks: Mapping[int, int]) -> dict[int, '_Data']:
        """Write the rows that are left; return what is to be known of each episode's."""
        found: dict[int, _Data] = {}
        starts, total = {}, 0
        for number, episode in self._kept.items():
            starts[number], total = total, total + episode.length
        for place in sorted({episode.data for episode in self._kept.values()}):
            path = self._source.data(*place)
            table = pq.read_table(path, partitioning=None)
            old = table['episode_index'].to_numpy()
            rows = np.flatnonzero(np.isin(old, list(self._kept)))
            table = table.take(pa.array(rows))
            numbers = old[rows]
            frames = table['frame_index'].to_numpy()
            columns = {
                'episode_index': np.array([self._new[n] for n in numbers], dtype=np.int64),
                'index': np.array([starts[n] for n in numbers], dtype=np.int64) + frames,
                'task_index': np.array(
                    [tasks[t] for t in table['task_index'].to_pylist()], dtype=np.int64
                ),
            }
            for name, values in columns.items():
                at = table.schema.get_field_index(name)
                table = table.set_column(at, table.schema.field(name), pa.array(values))
            target = self._out / path.relative_to(self._source.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target, compression='snappy')
            for number in np.unique(numbers):
                mine = numbers == number
                found[int(number)] = _Data(
                    starts[number], {name: values[mine] for name, values in columns.items()}
                )
        return found

    def _episodes(
        self, places: Mapping[tuple[int, str], tuple[float, float]], data: Mapping[int, '_Data']
    ) -> list[dict[str, Any]]:
        """Write meta/episodes: every column, also those that LeRobot does not know."""
        tables = [
            pq.read_table(file, partitioning=None)
            for file in sorted((self._source.folder / 'meta/episodes').glob('*/*.parquet'))
        ]
        table = pa.concat_tables(tables, promote_options='permissive')
        order = {n: row for row, n in enumerate(table['episode_index'].to_pylist())}
        table = table.take(pa.array([order[number] for number in self._kept]))
        rows = table.to_pylist()
        for row, number in zip(rows, self._kept, strict=True):
            mine = data[number]
            row |= {
                'episode_index': self._new[number],
                'dataset_from_index': mine.start,
                'dataset_to_index': mine.start + self._kept[number].length,
                'meta/episodes/chunk_index': 0,
                'meta/episodes/file_index': 0,
            }
            for camera in self._kept[number].videos:
                start, end = places[number, camera]
                feature = self._source.videos[camera]
                row[f'videos/{feature}/from_timestamp'] = start
                row[f'videos/{feature}/to_timestamp'] = end
            for name in _INDICES:
                if f'{_STATS}{name}/mean' not in row:
                    continue
                values = mine.columns[name].astype(np.float64)[:, None]
                for key, value in get_feature_stats(values, axis=0, keepdims=False).items():
                    row[f'{_STATS}{name}/{key}'] = value.ravel().tolist()
        target = self._out / 'meta/episodes/chunk-000/file-000.parquet'
        target.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), target)
        return rows

    def _statistics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write meta/stats.json: of the episodes' own statistics, as LeRobot aggregates them.

        What the episodes have none of stays as it was for all.
        """
        each = [_statistics_of(row) for row in rows]
        whole: dict[str, Any] = {}
        if (self._source.folder / STATISTICS).is_file():
            before = json.loads((self._source.folder / STATISTICS).read_text())
            whole = {name: value for name, value in before.items() if name not in each[0]}
        if each[0]:
            for name, found in aggregate_stats(each).items():
                whole[name] = {key: value.tolist() for key, value in found.items()}
        if not whole:
            raise ValueError('neither the episodes nor the dataset have statistics')
        (self._out / STATISTICS).write_text(json.dumps(whole, indent=4))

    def _manifest(self) -> None:
        path = self._source.folder / REMARKS
        if not path.is_file():
            return
        table = pq.read_table(path, partitioning=None)
        numbers = table['episode_index'].to_pylist()
        table = table.take(
            pa.array([i for i, n in enumerate(numbers) if n in self._new], pa.int64())
        )
        at = table.schema.get_field_index('episode_index')
        field = table.schema.field(at)
        renumbered = [self._new[n] for n in table['episode_index'].to_pylist()]
        pq.write_table(
            table.set_column(at, field, pa.array(renumbered, field.type)), self._out / REMARKS
        )

    def _conversion(self) -> None:
        """Keep what `convert` said of the episodes that are left, for --append."""
        path = self._source.folder / CONVERSION
        if not path.is_file():
            return
        said = Conversion.load(self._source.folder)
        gone = [entry for n, entry in enumerate(said.episodes) if n not in self._kept]
        left_out = [
            {'source': entry['source'], 'recording': entry['recording'], 'why': TAKEN_OUT}
            for entry in gone
        ]
        kept = replace(
            said,
            episodes=tuple(entry for n, entry in enumerate(said.episodes) if n in self._kept),
            left_out=(*said.left_out, *left_out),
        )
        (self._out / CONVERSION).write_text(json.dumps(kept.to_json(), indent=4))

    def _info(self, rows: Sequence[Mapping[str, Any]], tasks: int) -> None:
        info = dict(self._source.info)
        info |= {
            'total_episodes': len(rows),
            'total_frames': sum(episode.length for episode in self._kept.values()),
            'total_tasks': tasks,
            'splits': {'train': f'0:{len(rows)}'},
        }
        (self._out / INFO).write_text(json.dumps(info, indent=4))


@dataclass(frozen=True)
class _Data:
    """`start`: of an episode among all frames; `columns`: its renumbered indices."""

    start: int
    columns: Mapping[str, np.ndarray]


def copied(
    source: Path, target: Path, spans: Mapping[int, tuple[float, float]], fps: float
) -> dict[int, tuple[float, float]]:
    """Copy parts of a video, packet by packet; return from when to when each is in the new one.

    `spans`: number -> from when to when, seconds. A part begins at the keyframe at or before its
    start, and ends before the keyframe that follows its end.
    """
    with av.open(str(source)) as reader:
        stream = reader.streams.video[0]
        base = Fraction(stream.time_base or 0)
        tick = round(1 / (fps * base))
        groups = _groups(stream, tick)
    moves: dict[int, int] = {}  # by how much a group is moved in time, where it is copied
    found: dict[int, tuple[float, float]] = {}
    cursor = 0
    for number, (start, end) in sorted(spans.items(), key=lambda each: each[1]):
        first, behind = round(start / base), round(end / base)
        mine = [
            index
            for index, group in enumerate(groups)
            if group.end > first + tick // 2 and group.start < behind - tick // 2
        ]
        if not mine:
            raise ValueError(f'{source.name} holds no pictures from {start:.2f} s on')
        for index in mine:
            if index not in moves:
                moves[index] = cursor - groups[index].start
                cursor += groups[index].end - groups[index].start
        moved = moves[mine[0]]
        found[number] = float((first + moved) * base), float((behind + moved) * base)
    with av.open(str(source)) as reader, av.open(str(target), 'w') as writer:
        stream = reader.streams.video[0]
        out = writer.add_stream_from_template(stream)
        index = -1
        for packet in reader.demux(stream):
            index += packet.is_keyframe
            if packet.pts is None or packet.dts is None or index not in moves:
                continue
            packet.pts += moves[index]
            packet.dts += moves[index]
            packet.stream = out
            writer.mux(packet)
    return found


@dataclass(frozen=True)
class _Group:
    """A keyframe and what follows it: from when to when it is shown, in ticks of the stream."""

    start: int
    end: int


def _groups(stream: Any, tick: int) -> list[_Group]:
    times: list[list[int]] = []
    for packet in stream.container.demux(stream):
        if packet.is_keyframe:
            times.append([])
        if packet.pts is not None and times:
            times[-1].append(packet.pts)
    return [_Group(min(shown), max(shown) + tick) for shown in times]


def _statistics_of(row: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return an episode's own statistics, feature -> name -> values, as LeRobot shapes them."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for column, value in row.items():
        if column.startswith(_STATS) and value is not None:
            feature, _, name = column.removeprefix(_STATS).rpartition('/')
            found.setdefault(feature, {})[name] = np.array(value)
    return found
