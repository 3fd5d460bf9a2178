"""A LeRobot dataset v3.0 in a folder, read for the checks: parquet and JSON, without LeRobot.

What is wrong within an episode is told as a finding; UserError is for a folder that is no dataset.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import json_object
from so101_policy.features import ACTION, STATE, image_feature
from so101_policy.training import INFO, STATISTICS
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import Collection, Pictures, Signal, Substitution, Take
from so101_training.checks.video import Span, VideoPiece, nothing, pictures_at
from so101_training.conversion.manifest import REMARKS

NAME = 'integrity'

_IMAGES = image_feature('')

# Frames that one process reads at a time: a few seconds' work, so that progress is seen and no
# process ends long after the others.
_PIECE = 1500

# Seconds by which a timestamp may be off its frame: LeRobot's own tolerance (tolerance_s).
_OFF_GRID = 1e-4

_NUMBERS = ('episode_index', 'frame_index', 'index', 'task_index', 'timestamp')


@dataclass(frozen=True)
class Episode:
    """A row of meta/episodes.

    `videos`: camera -> chunk, file, from where to where, seconds; also of cameras that are not
    looked at.
    """

    number: int
    length: int
    data: tuple[int, int]
    videos: Mapping[str, tuple[int, int, float, float]]
    tasks: tuple[str, ...]
    outcome: str
    reason: str
    source: str


class Dataset:
    """`cameras`: those whose pictures are looked at; `videos`: every camera's feature."""

    def __init__(self, folder: Path, excluded: Sequence[str] = ()) -> None:
        """Raises UserError for a folder that is no dataset v3.0, or for cameras it has not."""
        self.folder = folder
        self.info = json_object.parse(_text(folder / INFO), folder / INFO)
        version = self.info.get('codebase_version')
        if version != 'v3.0':
            raise UserError(
                f'{folder}: a dataset of version {version!r}, this reads v3.0; convert it with '
                'python -m lerobot.scripts.convert_dataset_v21_to_v30'
            )
        self.fps = float(json_object.field(self.info, 'fps', (int, float), folder / INFO))
        features = json_object.field(self.info, 'features', dict, folder / INFO)
        if self.fps <= 0 or not all(isinstance(feature, dict) for feature in features.values()):
            raise UserError(f'{folder / INFO}: fps or features are broken; copy it again')
        self.features: dict[str, dict[str, Any]] = features
        self.videos = {
            name.removeprefix(_IMAGES): name
            for name, feature in features.items()
            if feature.get('dtype') == 'video'
        }
        self.paths = {
            key: json_object.field(self.info, key, str, folder / INFO)
            for key in ('data_path', *(['video_path'] if self.videos else []))
        }
        if odd := set(excluded) - set(self.videos):
            raise UserError(
                f'{folder} has no camera {", ".join(sorted(odd))}; it has '
                f'{", ".join(self.videos) or "none"}'
            )
        self.cameras = [
            camera
            for camera, feature in self.videos.items()
            if camera not in excluded and not _is_depth(features[feature])
        ]
        self.episodes = {episode.number: episode for episode in self._episodes()}
        if not self.episodes:
            raise UserError(f'{folder}: no episode in meta/episodes; copy the dataset again')

    def video(self, camera: str, chunk: int, file: int) -> Path:
        return self.folder / self.paths['video_path'].format(
            video_key=self.videos[camera], chunk_index=chunk, file_index=file
        )

    def data(self, chunk: int, file: int) -> Path:
        return self.folder / self.paths['data_path'].format(chunk_index=chunk, file_index=file)

    def pieces(self) -> list[VideoPiece]:
        """Return all there is to decode, each file from front to back."""
        files: dict[tuple[str, int, int], list[Span]] = {}
        for episode in self.episodes.values():
            for camera in self.cameras:
                chunk, file, start, _ = episode.videos[camera]
                span = Span(episode.number, start, episode.length)
                files.setdefault((camera, chunk, file), []).append(span)
        pieces = []
        for (camera, chunk, file), spans in files.items():
            group: list[Span] = []
            for span in sorted(spans, key=lambda span: span.start):
                if group and sum(s.length for s in group) + span.length > _PIECE:
                    pieces.append(self._piece(camera, chunk, file, group))
                    group = []
                group.append(span)
            pieces.append(self._piece(camera, chunk, file, group))
        return pieces

    def collection(self, pictures: Mapping[tuple[int, str], Pictures]) -> Collection:
        """Return the dataset with what was measured of the pictures of (number, camera)."""
        manifest, faults = self._manifest()
        rows = self._rows()
        takes = []
        for number, episode in self.episodes.items():
            seen = {
                camera: pictures.get((number, camera), nothing('not read'))
                for camera in self.cameras
            }
            take = self._take(episode, rows.get(number), seen)
            takes.append(replace(take, substitutions=tuple(manifest.get(number, ()))))
        return Collection(
            self.folder.resolve().name,
            tuple(takes),
            True,
            self._statistics(),
            tuple(self._whole(rows)) + faults,
        )

    def thumbnails(
        self, number: int, camera: str, seconds: Sequence[float]
    ) -> dict[float, NDArray[np.uint8]]:
        """Return the rgb8 pictures of an episode at these seconds, those there are."""
        chunk, file, start, _ = self.episodes[number].videos[camera]
        indices = {second: round((start + second) * self.fps) for second in seconds}
        found = pictures_at(self.video(camera, chunk, file), self.fps, list(indices.values()))
        return {second: found[index] for second, index in indices.items() if index in found}

    def _piece(self, camera: str, chunk: int, file: int, spans: Sequence[Span]) -> VideoPiece:
        return VideoPiece(self.video(camera, chunk, file), camera, self.fps, tuple(spans))

    def _episodes(self) -> Iterator[Episode]:
        files = sorted((self.folder / 'meta/episodes').glob('*/*.parquet'))
        for file in files:
            names = [n for n in _schema(file).names if not n.startswith('stats/')]
            for row in _table(file, names).to_pylist():
                yield self._episode(row, file)

    def _episode(self, row: Mapping[str, Any], file: Path) -> Episode:
        try:
            videos = {
                camera: (
                    int(row[f'videos/{feature}/chunk_index']),
                    int(row[f'videos/{feature}/file_index']),
                    float(row[f'videos/{feature}/from_timestamp']),
                    float(row[f'videos/{feature}/to_timestamp']),
                )
                for camera, feature in self.videos.items()
            }
            return Episode(
                int(row['episode_index']),
                int(row['length']),
                (int(row['data/chunk_index']), int(row['data/file_index'])),
                videos,
                tuple(str(task) for task in row.get('tasks') or ()),
                str(row.get('outcome') or 'unlabelled'),
                str(row.get('reason') or ''),
                str(row.get('source') or ''),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'{file}: the row of an episode lacks {error}; the dataset is broken, or still '
                'being recorded'
            ) from error

    def _rows(self) -> dict[int, '_Rows | str']:
        """Return what the data files hold of each episode, or why it cannot be read."""
        found: dict[int, _Rows | str] = {}
        for place in sorted({episode.data for episode in self.episodes.values()}):
            file = self.data(*place)
            try:
                schema = _schema(file)
                names = [n for n in (*_NUMBERS, STATE, ACTION) if n in schema.names]
                table = _table(file, names)
                if 'episode_index' not in names:
                    raise UserError(f'{file} has no column episode_index')
            except UserError as error:
                for number, episode in self.episodes.items():
                    if episode.data == place:
                        found[number] = str(error)
                continue
            numbers = table['episode_index'].to_numpy()
            order = np.argsort(numbers, kind='stable')
            edges = np.flatnonzero(np.diff(numbers[order])) + 1
            for part in np.split(order, edges):
                if len(part):
                    found[int(numbers[part[0]])] = _Rows.of(table.take(pa.array(part)))
        return found

    def _take(
        self, episode: Episode, rows: '_Rows | str | None', seen: Mapping[str, Pictures]
    ) -> Take:
        n = episode.number
        faults: list[Finding] = []
        state = action = None
        duration = episode.length / self.fps
        if rows is None:
            faults.append(Finding(NAME, n, BAD, 'it has no rows in the data files; leave it out'))
        elif isinstance(rows, str):
            faults.append(Finding(NAME, n, BAD, f'{rows}; leave it out, or copy the file again'))
        else:
            faults += [Finding(NAME, n, BAD, text) for text in rows.faults(episode, self.fps)]
            seconds = np.arange(rows.length) / self.fps
            signals = {}
            for name in (STATE, ACTION):
                signal, trouble = _signal(name, seconds, rows.values.get(name))
                signals[name] = signal
                faults += [Finding(NAME, n, BAD, trouble)] if trouble else []
            state, action = signals[STATE], signals[ACTION]
        for camera, pictures in seen.items():
            faults += [
                Finding(NAME, n, severity, text, camera)
                for severity, text in _video_faults(camera, pictures, episode)
            ]
        return Take(
            n, episode.source or f'episode {n}', episode.tasks, episode.outcome, episode.reason,
            self.fps, duration, state, action, seen, tuple(faults),
        )  # fmt: skip

    def _whole(self, rows: Mapping[int, '_Rows | str']) -> Iterator[Finding]:
        for key, is_now in (
            ('total_episodes', len(self.episodes)),
            ('total_frames', sum(episode.length for episode in self.episodes.values())),
        ):
            if self.info.get(key) != is_now:
                text = f'meta/info.json says {key} {self.info.get(key)!r}, there are {is_now}'
                yield Finding(NAME, None, DOUBTFUL, f'{text}; was its recording interrupted?')
        if odd := sorted(set(rows) - set(self.episodes)):
            text = f'the data files hold episodes that meta/episodes does not: {odd}'
            yield Finding(NAME, None, DOUBTFUL, f'{text}; was its recording interrupted?')
        for name in self.features:
            if self.features[name].get('dtype') == 'image':
                yield Finding(
                    NAME, None, DOUBTFUL,
                    f'{name} is stored as single images, which are not looked at; encode them as '
                    'video with lerobot-edit-dataset',
                )  # fmt: skip

    def _statistics(self) -> Mapping[str, Any]:
        try:
            return json_object.parse((self.folder / STATISTICS).read_text(), STATISTICS)
        except (OSError, UnicodeDecodeError, UserError):
            return {}  # the check of the statistics says that there are none

    def _manifest(self) -> tuple[dict[int, list[Substitution]], tuple[Finding, ...]]:
        """Return what the conversion made up, by episode; nothing of a dataset from elsewhere."""
        if not (self.folder / REMARKS).is_file():
            return {}, ()
        try:
            rows = _table(
                self.folder / REMARKS, ['episode_index', 'frame_index', 'stream', 'kind']
            ).to_pylist()
            groups: dict[tuple[int, str, str], list[int]] = {}
            for row in rows:
                key = int(row['episode_index']), str(row['stream']), str(row['kind'])
                if row['frame_index'] is not None:  # else outside of all frames
                    groups.setdefault(key, []).append(int(row['frame_index']))
        except (UserError, TypeError, ValueError) as error:
            text = f'{REMARKS} cannot be read: {error}; convert the episodes again'
            return {}, (Finding(NAME, None, DOUBTFUL, text),)
        found: dict[int, list[Substitution]] = {}
        for (number, stream, kind), frames in groups.items():
            ordered = np.unique(frames)
            breaks = np.flatnonzero(np.diff(ordered) != 1)
            longest = int(np.diff(np.concatenate(([-1], breaks, [len(ordered) - 1]))).max())
            found.setdefault(number, []).append(
                Substitution(stream.removeprefix(_IMAGES), kind, len(frames), longest / self.fps)
            )
        return found, ()


@dataclass(frozen=True)
class _Rows:
    """An episode's rows: `values` (n, k), or the text that says why there are none."""

    numbers: Mapping[str, NDArray[Any]]
    values: Mapping[str, NDArray[np.float64] | str]
    length: int

    @classmethod
    def of(cls, table: pa.Table) -> '_Rows':
        names = table.column_names
        return cls(
            {n: table[n].to_numpy(zero_copy_only=False) for n in _NUMBERS if n in names},
            {n: _matrix(table[n]) for n in (STATE, ACTION) if n in names},
            table.num_rows,
        )

    def faults(self, episode: Episode, fps: float) -> Iterator[str]:
        if self.length != episode.length:
            yield (
                f'it has {self.length} rows, meta/episodes says {episode.length}; leave it out, '
                'for its pictures belong to other rows'
            )
        for name in (name for name in _NUMBERS if name not in self.numbers):
            yield f'the column {name} is missing from its data; record it with LeRobot v3.0'
        frames, stamps = self.numbers.get('frame_index'), self.numbers.get('timestamp')
        if frames is not None and not np.array_equal(frames, np.arange(self.length)):
            yield 'its frame_index does not count from 0 in ones; leave it out'
        if stamps is None:
            return
        stamps = stamps.astype(np.float64)
        if not np.isfinite(stamps).all():
            yield f'{(~np.isfinite(stamps)).sum()} of its timestamps are not finite; leave it out'
            return
        back = np.flatnonzero(np.diff(stamps) <= 0)
        off = np.abs(stamps - np.arange(self.length) / fps)
        if len(back):
            yield (
                f'its timestamps run backwards or stand still {len(back)} times, first at row '
                f'{back[0] + 1} ({stamps[back[0] + 1]:.3f} s); leave it out'
            )
        elif self.length and off.max() > max(_OFF_GRID, 1e-6 * stamps.max()):
            worst = int(np.argmax(off))
            yield (
                f'its timestamps are off the {fps:g} Hz grid, row {worst} by '
                f'{1e3 * off[worst]:.1f} ms, where LeRobot refuses to load; leave it out'
            )


def _matrix(column: pa.ChunkedArray) -> NDArray[np.float64] | str:
    joined = column.combine_chunks()
    if not (pa.types.is_list(joined.type) or pa.types.is_fixed_size_list(joined.type)):
        return f'holds {joined.type}, not lists of numbers'
    lengths = set(pc.list_value_length(joined).to_pylist())
    if len(lengths) != 1 or None in lengths:
        return f'has rows of different lengths: {sorted(map(str, lengths))}'
    try:
        flat = joined.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    except (TypeError, ValueError):
        return f'holds {joined.type}, not lists of numbers'
    return flat.reshape(len(joined), -1)


def _signal(
    name: str, seconds: NDArray[np.float64], values: NDArray[np.float64] | str | None
) -> tuple[Signal | None, str]:
    """Return the feature as six joints, and what is wrong with it."""
    if values is None:
        return None, f'{name} is missing from its data; record it'
    if isinstance(values, str):
        return None, f'{name} {values}; leave it out'
    if values.shape[1] != len(JOINTS):
        return None, f'{name} has {values.shape[1]} joints, this robot has {len(JOINTS)}'
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    signal = Signal(seconds[finite], values[finite]) if finite.sum() > 1 else None
    if finite.all():
        return signal, '' if signal else f'{name} has one row, which is no motion; leave it out'
    first = seconds[int(np.argmin(finite))]
    return signal, (
        f'{(~finite).sum()} of {len(finite)} rows of {name} are not finite, the first at '
        f'{first:.1f} s; leave it out: one such row spoils the weights'
    )


def _is_depth(feature: Mapping[str, Any]) -> bool:
    """Return whether a camera's pictures are distances, for which brightness says nothing."""
    info = feature.get('info')
    return isinstance(info, dict) and bool(info.get('is_depth_map'))


def _video_faults(camera: str, seen: Pictures, episode: Episode) -> Iterator[tuple[str, str]]:
    missing = episode.length - len(seen.seconds)
    if seen.trouble:
        yield (
            BAD,
            f'{missing} of {episode.length} pictures of the {camera} camera are not there: '
            f'{seen.trouble}; copy the file again',
        )
    elif missing > 0 and not len(seen.seconds):
        yield BAD, f'the video of the {camera} camera holds none of its pictures; leave it out'
    elif missing > 0:
        yield (
            BAD,
            f'{missing} of {episode.length} pictures of the {camera} camera are missing from the '
            'video; leave it out',
        )
    if seen.damaged and not seen.trouble:
        yield (
            BAD if seen.damaged > 1 else DOUBTFUL,
            f'{seen.damaged} pictures of the {camera} camera cannot be decoded; leave it out, or '
            'copy the file again',
        )


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'cannot read {file}: {error}; copy the dataset again') from error


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f'{file} cannot be read: {_first_line(error)}') from error


def _table(file: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(file, columns=list(columns), partitioning=None)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f'{file} cannot be read: {_first_line(error)}') from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
