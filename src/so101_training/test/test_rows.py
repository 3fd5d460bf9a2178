from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from so101_training.training.rows import Rows
from so101_training.training.videos import DataError

FEATURES = {
    'action': {'dtype': 'float32', 'shape': (2,)},
    'timestamp': {'dtype': 'float32', 'shape': (1,)},
    'episode_index': {'dtype': 'int64', 'shape': (1,)},
    'index': {'dtype': 'int64', 'shape': (1,)},
    'note': {'dtype': 'string', 'shape': (1,)},
    'grid': {'dtype': 'float64', 'shape': (2, 3)},
    'done': {'dtype': 'bool', 'shape': (1,)},
}
LENGTHS = {4: 3, 7: 5}


def columns() -> dict[str, Any]:
    """Return two episodes, of numbers 4 and 7, of which the first frames are 100 and 200."""
    offsets = [*range(3), *range(5)]
    return {
        'action': [[float(row), float(-row)] for row in range(8)],
        'timestamp': [offset / 30 for offset in offsets],
        'episode_index': [4] * 3 + [7] * 5,
        'index': [100 + offset for offset in range(3)] + [200 + offset for offset in range(5)],
        'note': [f'row {row}' for row in range(8)],
        'grid': [[[float(row), 0.0, 0.0], [0.0, 0.0, float(row)]] for row in range(8)],
        'done': [False] * 7 + [True],
    }


def rows_of(values: dict[str, Any], deltas: dict[str, list[int]] | None = None) -> Rows:
    return Rows(pa.table(values), FEATURES, deltas or {}, LENGTHS)


def test_rows_are_what_lerobot_makes_of_them() -> None:
    batch = rows_of(columns()).batch(np.array([7, 2]))
    assert batch['action'].tolist() == [[7, -7], [2, -2]]
    assert batch['grid'].tolist() == [[[7, 0, 0], [0, 0, 7]], [[2, 0, 0], [0, 0, 2]]]
    assert batch['index'].tolist() == [204, 102]
    assert batch['note'] == ['row 7', 'row 2']
    assert batch['done'].tolist() == [True, False]
    types = {name: batch[name].dtype for name in ('action', 'grid', 'index', 'done')}
    assert types == {
        'action': torch.float32,
        'grid': torch.float32,
        'index': torch.int64,
        'done': torch.bool,
    }


@given(
    rows=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    deltas=st.lists(st.integers(-9, 9), min_size=1, max_size=4),
)
def test_rows_around_stay_in_the_episode_and_are_marked_when_they_would_not(
    rows: list[int], deltas: list[int]
) -> None:
    batch = rows_of(columns(), {'action': deltas}).batch(np.array(rows))
    for place, row in enumerate(rows):
        first, last = (0, 2) if row < 3 else (3, 7)
        wanted = [row + delta for delta in deltas]
        inside = [min(max(other, first), last) for other in wanted]
        assert batch['action'][place].tolist() == [[other, -other] for other in inside]
        assert batch['action_is_pad'][place].tolist() == [
            other != kept for other, kept in zip(wanted, inside, strict=True)
        ]


def test_what_belongs_to_a_row_can_be_asked_for() -> None:
    rows = rows_of(columns(), {'wrist': [-1, 0]})
    assert rows.around('wrist', np.array([0, 4])).tolist() == [[0, 0], [3, 4]]
    assert rows.around('overhead', np.array([0, 4])).tolist() == [[0], [4]]
    assert rows.offsets(np.array([[0, 2], [3, 7]])).tolist() == [[0, 2], [0, 4]]
    assert rows.times(7).tolist() == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30, 4 / 30])


def swap(values: dict[str, Any]) -> None:
    values['index'][0], values['index'][1] = values['index'][1], values['index'][0]


def shorten(values: dict[str, Any]) -> None:
    values['episode_index'][7] = 8


def tear(values: dict[str, Any]) -> None:
    values['episode_index'] = [4, 7, 4, 4, 7, 7, 7, 7]


def forget(values: dict[str, Any]) -> None:
    del values['action']


def leave_empty(values: dict[str, Any]) -> None:
    values['action'][3] = None


def narrow(values: dict[str, Any]) -> None:
    values['action'] = [[0.0]] * 8


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (swap, 'not in order'),
        (shorten, r'episode 7 has 4 rows, not 5'),
        (tear, 'in two places'),
        (forget, 'lack action'),
        (leave_empty, r'action is not \(2,\) in every row'),
        (narrow, r'action is not \(2,\) in every row'),
    ],
)
def test_a_table_that_is_not_whole_is_refused(damage: Any, message: str) -> None:
    values = columns()
    damage(values)
    with pytest.raises(DataError, match=message):
        rows_of(values)
