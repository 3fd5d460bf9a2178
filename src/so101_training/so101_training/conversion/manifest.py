"""What a dataset says of its conversion: meta/manifest.parquet and meta/conversion.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from so101_node.error import UserError
from so101_policy import json_object
from so101_training.conversion.ticks import Remark

REMARKS = 'meta/manifest.parquet'
CONVERSION = 'meta/conversion.json'

# Why an episode is no longer in a dataset: a person wanted it so, and nobody adds it again.
TAKEN_OUT = 'taken out by check --fix'

_SETTINGS: dict[str, type | tuple[type, ...]] = {
    'fps': int, 'cameras': list, 'max_age': (int, float), 'max_skew': (int, float),
    'vcodec': str, 'g': int, 'crf': int, 'preset': str, 'width': int, 'height': int,
}  # fmt: skip
_OF_EPISODES = ('source', 'recording', 'outcome', 'task')
_OF_OTHERS = ('source', 'recording', 'why')

_SCHEMA = pa.schema(
    {
        'episode_index': pa.int64(),
        'frame_index': pa.int64(),
        'stream': pa.string(),
        'kind': pa.string(),
        'stamp_ns': pa.int64(),
        'age_ms': pa.float64(),
        'reason': pa.string(),
    }
)


@dataclass(frozen=True)
class Conversion:
    """conversion.json: the settings, each episode's source, and what was left out, and why.

    `episodes`: source, recording, outcome, reason, task, frames and the counts of remarks by
    stream and kind of each, in the dataset's order. `left_out`: source, recording and why.
    """

    settings: Mapping[str, Any]
    episodes: tuple[Mapping[str, Any], ...]
    left_out: tuple[Mapping[str, Any], ...]

    @classmethod
    def load(cls, dataset: Path) -> 'Conversion':
        """Read a dataset's; raises UserError when it was not made by `convert`."""
        path = dataset / CONVERSION
        if not path.is_file():
            raise UserError(
                f'{dataset} was not made by convert: it has no {CONVERSION}; give another --out'
            )
        values = json_object.read(path)
        entries = {}
        for name, texts in (('episodes', _OF_EPISODES), ('left_out', _OF_OTHERS)):
            entries[name] = tuple(json_object.field(values, name, list, path))
            for entry in entries[name]:
                if not isinstance(entry, dict):
                    raise UserError(f'{path}: {name} holds {entry!r}, expected objects')
                for text in texts:
                    json_object.field(entry, text, str, f'{path}: {name}')
        settings = json_object.field(values, 'settings', dict, path)
        codec = json_object.field(settings, 'codec', dict, f'{path}: settings')
        for name, kind in _SETTINGS.items():
            json_object.field({**settings, **codec}, name, kind, f'{path}: settings')
        return cls(settings, **entries)

    def to_json(self) -> dict[str, Any]:
        return {
            'settings': self.settings,
            'episodes': self.episodes,
            'left_out': self.left_out,
        }


def table(episode: int, remarks: Sequence[Remark]) -> pa.Table:
    """Return the remarks of an episode of a dataset as a table, a row each."""
    columns = {
        'episode_index': [episode] * len(remarks),
        'frame_index': [remark.frame for remark in remarks],
        'stream': [remark.stream for remark in remarks],
        'kind': [remark.kind for remark in remarks],
        'stamp_ns': [remark.stamp for remark in remarks],
        'age_ms': [None if r.age is None else round(1e3 * r.age, 3) for r in remarks],
        'reason': [remark.reason for remark in remarks],
    }
    return pa.table(columns, schema=_SCHEMA)


def extend(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write the rows that are in the file, where there is one, and those of the tables."""
    before = [pq.read_table(path, schema=_SCHEMA)] if path.exists() else []
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        for rows in (*before, *tables):
            writer.write_table(rows)


def check(dataset: Path) -> None:
    """Raise UserError when a dataset's manifest cannot be read."""
    try:
        pq.read_table(dataset / REMARKS, schema=_SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f'{dataset / REMARKS}: {error}; convert the episodes again') from error


def counts(remarks: Iterable[Remark]) -> dict[str, dict[str, int]]:
    """Return how many remarks there are by stream and kind."""
    found: dict[str, dict[str, int]] = {}
    for remark in remarks:
        of_stream = found.setdefault(remark.stream, {})
        of_stream[remark.kind] = of_stream.get(remark.kind, 0) + 1
    return found
