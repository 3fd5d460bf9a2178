"""The numbers of a dataset, its parquet files, as arrays: any rows at once, with those around."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from so101_training.training.videos import DataError

# As LeRobot makes tensors of Python's numbers.
_TYPES: Mapping[str, Any] = {'f': np.float32, 'i': np.int64, 'u': np.int64, 'b': np.bool_}


class Rows:
    """Rows of whole episodes, in the table's order.

    `features` are LeRobot's (`dtype`, `shape`), without videos. `deltas` says of a feature, also
    of a camera, which rows around a sample's own belong to it: [0, 1, ..., 49] of a chunk of
    actions. `lengths` are those of the episodes there are to be. Raises DataError when the table
    does not hold the features, or has not all rows of an episode.
    """

    def __init__(
        self,
        table: pa.Table,
        features: Mapping[str, Mapping[str, Any]],
        deltas: Mapping[str, Sequence[int]],
        lengths: Mapping[int, int],
    ) -> None:
        self._columns = {
            name: _column(table, name, tuple(feature['shape']))
            for name, feature in features.items()
        }
        self._deltas = {name: np.array(offsets) for name, offsets in deltas.items()}
        self.episode: NDArray[np.int64] = self._columns['episode_index']
        self.index: NDArray[np.int64] = self._columns['index']
        self._first, self._last = self._bounds(lengths)

    def __len__(self) -> int:
        return len(self.index)

    def _bounds(self, lengths: Mapping[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the first and the last row of each row's episode."""
        starts = np.flatnonzero(np.diff(self.episode, prepend=-1))
        counts = np.diff(starts, append=len(self))
        found = dict(zip(self.episode[starts].tolist(), counts.tolist(), strict=True))
        if len(starts) > len(found):
            raise DataError('the rows of an episode are in two places; convert the dataset again')
        if found != dict(lengths):
            raise DataError(
                f'data and meta/episodes differ: {_differences(found, lengths)}; '
                'convert the dataset again'
            )
        first = np.repeat(starts, counts)
        if not np.array_equal(self.index - self.index[first], np.arange(len(self)) - first):
            raise DataError('the rows of an episode are not in order; convert the dataset again')
        return first, np.repeat(starts + counts - 1, counts)

    def times(self, episode: int) -> NDArray[np.float64]:
        """Return the timestamps (n,) of an episode, seconds from its first frame."""
        return self._columns['timestamp'][self.episode == episode].astype(np.float64)

    def offsets(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many rows of its episode are before each row."""
        return rows - self._first[rows]

    def around(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows (n, m) of a feature that belong to `rows` (n,): m is 1 without deltas.

        Those before and after the episode are its first and its last.
        """
        around = rows[:, None] + self._deltas.get(name, np.zeros(1, np.int64))
        return np.clip(around, self._first[rows, None], self._last[rows, None])

    def batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Return the features of `rows` (n,) as LeRobot's samples have them, stacked: tensors
        (n, ...), lists of texts, and for each delta `<name>_is_pad`, which of it is not there.
        """
        batch: dict[str, Any] = {}
        for name, column in self._columns.items():
            values = column[self.around(name, rows) if name in self._deltas else rows]
            batch[name] = values.tolist() if values.dtype == object else torch.from_numpy(values)
        for name, offsets in self._deltas.items():
            wanted = rows[:, None] + offsets
            outside = (wanted < self._first[rows, None]) | (wanted > self._last[rows, None])
            batch[f'{name}_is_pad'] = torch.from_numpy(outside)
        return batch


def _column(table: pa.Table, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if name not in table.column_names:
        raise DataError(f'the parquet files in data lack {name}; convert the dataset again')
    array = table.column(name).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    while isinstance(array, pa.ExtensionArray) or pa.types.is_nested(array.type):
        if array.null_count:
            break
        array = array.storage if isinstance(array, pa.ExtensionArray) else array.flatten()
    length = len(table)
    count = int(np.prod(shape)) * length
    if array.null_count or len(array) != count:
        raise DataError(f'{name} is not {shape} in every row of data; convert the dataset again')
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind in _TYPES:
        values = values.astype(_TYPES[values.dtype.kind])
    return values.reshape(length if shape == (1,) else (length, *shape))


def _differences(found: Mapping[int, int], wanted: Mapping[int, int]) -> str:
    wrong = [
        episode for episode in {**wanted, **found} if found.get(episode) != wanted.get(episode)
    ]
    episode = min(wrong)
    return f'episode {episode} has {found.get(episode, 0)} rows, not {wanted.get(episode, 0)}'
