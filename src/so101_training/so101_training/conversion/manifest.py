"""What a dataset says of its conversion: meta/manifest.parquet and meta/conversion.json."""

from collections.abc import Iterable, Mapping
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

    `episodes`: source, key, outcome, reason, frames and the counts of remarks by stream and kind
    of each, in the dataset's order. `left_out`: source and why.
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
        return cls(
            json_object.field(values, 'settings', dict, path),
            tuple(json_object.field(values, 'episodes', list, path)),
            tuple(json_object.field(values, 'left_out', list, path)),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            'settings': self.settings,
            'episodes': self.episodes,
            'left_out': self.left_out,
        }


def table(remarks: Mapping[int, Iterable[Remark]]) -> pa.Table:
    """Return the remarks of each episode of a dataset as a table, a row each."""
    rows = [(episode, remark) for episode, found in remarks.items() for remark in found]
    columns = {
        'episode_index': [episode for episode, _ in rows],
        'frame_index': [remark.frame for _, remark in rows],
        'stream': [remark.stream for _, remark in rows],
        'kind': [remark.kind for _, remark in rows],
        'stamp_ns': [remark.stamp for _, remark in rows],
        'age_ms': [None if r.age is None else round(1e3 * r.age, 3) for _, r in rows],
        'reason': [remark.reason for _, remark in rows],
    }
    return pa.table(columns, schema=_SCHEMA)


def extended(path: Path, new: pa.Table) -> pa.Table:
    """Return the table in the file, where there is one, followed by the new one."""
    if not path.exists():
        return new
    return pa.concat_tables([pq.read_table(path, schema=_SCHEMA), new])


def counts(remarks: Iterable[Remark]) -> dict[str, dict[str, int]]:
    """Return how many remarks there are by stream and kind."""
    found: dict[str, dict[str, int]] = {}
    for remark in remarks:
        of_stream = found.setdefault(remark.stream, {})
        of_stream[remark.kind] = of_stream.get(remark.kind, 0) + 1
    return found
