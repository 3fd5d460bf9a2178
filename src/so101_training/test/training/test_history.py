import json
from pathlib import Path
from typing import Any

import pytest

from so101_node.error import UserError
from so101_training.training.history import (
    History,
    Milestone,
    Row,
    duration,
    milestones_of_json,
    milestones_to_json,
    table,
)

MILESTONES = [
    Milestone(5000, 0.011, 0.18, 8.5e-5, 9300.0),
    Milestone(10000, None, None, None, 18720.0),
]


def row(step: int) -> Row:
    return Row(step, step / 8, 1 / step, 2.5, 1e-4, 0.25, 1.5, 4.0, 2.0 * step)


def test_rows_are_on_the_disk_as_soon_as_they_are_added(tmp_path: Path) -> None:
    history = History(tmp_path / 'training.csv')
    history.add(row(1))
    head, line = (tmp_path / 'training.csv').read_text().splitlines()
    assert head.startswith('step,epoch,loss,gradient_norm,learning_rate,data_s,update_s,')
    assert line == '1,0.125,1,2.5,0.0001,0.25,1.5,4,2'


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / 'training.csv'
    first = History(path)
    for step in (1, 2, 3, 4):
        first.add(row(step))
    resumed = History(path, until=2)
    resumed.add(row(3))
    assert [of.step for of in resumed.rows] == [1, 2, 3]
    assert [line.split(',')[0] for line in path.read_text().splitlines()[1:]] == ['1', '2', '3']
    assert resumed.rows[0] == row(1)


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / 'training.csv'
    History(path).add(row(1))
    with path.open('a') as file:
        file.write('2,0.25,0.')
    assert History(path, until=9).rows == [row(1)]


@pytest.mark.parametrize('text', ['a,b\n', 'step,epoch\n1,2\n'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'training.csv').write_text(text)
    with pytest.raises(UserError, match='move the file away'):
        History(tmp_path / 'training.csv')


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'training.csv'
    History(path).add(row(1))
    with path.open('a') as file:
        file.write('2,x\n')
    with pytest.raises(UserError, match='line 3'):
        History(path, until=9)


def test_the_summary_is_a_table_of_the_checkpoints() -> None:
    assert table(MILESTONES).splitlines() == [
        '|   step |    loss | gradient norm | learning rate |  wall time |',
        '| -----: | ------: | ------------: | ------------: | ---------: |',
        '|  5,000 |   0.011 |          0.18 |       8.5e-05 | 2 h 35 min |',
        '| 10,000 | unknown |       unknown |       unknown | 5 h 12 min |',
    ]


@pytest.mark.parametrize(
    ('seconds', 'said'),
    [
        (0.4, '0 s'),
        (59.6, '1 min 0 s'),
        (3599.9, '1 h 0 min'),
        (9300, '2 h 35 min'),
        (float('inf'), 'unknown'),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_milestones_come_back_from_json() -> None:
    text = json.dumps(milestones_to_json(MILESTONES))
    assert milestones_of_json(json.loads(text), 'here') == MILESTONES


@pytest.mark.parametrize(
    'found',
    [
        3,
        [3],
        [{'step': 1}],
        [milestones_to_json(MILESTONES)[0] | {'wall_s': None}],
        [milestones_to_json(MILESTONES)[0] | {'loss': 'small'}],
    ],
)
def test_another_history_is_refused(found: Any) -> None:
    with pytest.raises(UserError, match='here: history'):
        milestones_of_json(found, 'here')
