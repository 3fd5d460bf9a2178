import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from so101_node.error import UserError
from so101_training.training import training_set
from so101_training.training.training_set import TrainingSet

from .conftest import EPISODES, FPS, FRAMES, TASK

INFO, STATISTICS = 'meta/info.json', 'meta/stats.json'
OVERHEAD = 'observation.images.overhead'


def test_a_sound_dataset_is_described(shared_dataset: Path) -> None:
    found = training_set.read(shared_dataset)
    assert (found.fps, found.episodes, found.frames) == (FPS, EPISODES, EPISODES * FRAMES)
    assert (found.cameras, found.tasks, found.doubts) == (('wrist', 'overhead'), (TASK,), ())
    assert len(found.statistics['observation.state'].values['mean']) == 6
    assert len(found.statistics[OVERHEAD].values['mean']) == 3


@pytest.mark.parametrize(
    ('file', 'break_it', 'said'),
    [
        (INFO, lambda d: d.update(codebase_version='v2.1'), 'format v2.1, expected v3.0'),
        (INFO, lambda d: d.update(fps=50), 'fps is 50; the cameras give 30'),
        (INFO, lambda d: d.update(total_frames=0), 'nothing to train on'),
        (
            INFO,
            lambda d: d['features'].update(
                {'observation.images.front': d['features'].pop(OVERHEAD)}
            ),
            'The dataset has observation.images.front, observation.images.wrist; the robot has '
            'observation.images.overhead, observation.images.wrist',
        ),
        (INFO, lambda d: d['features']['action'].update(shape=[7]), 'action has shape [7]'),
        (
            INFO,
            lambda d: d['features']['action']['names'].reverse(),
            'another order',
        ),
        (
            STATISTICS,
            lambda d: d.pop('observation.state'),
            'no mean, std, min, max of observation.state',
        ),
        (STATISTICS, lambda d: d['action'].pop('std'), 'no std of action'),
        (STATISTICS, lambda d: d.pop(OVERHEAD), f'no mean, std, min, max of {OVERHEAD}'),
        (
            STATISTICS,
            lambda d: d['action']['std'].__setitem__(4, 0.0),
            'std of action is 0 for wrist_roll',
        ),
        (STATISTICS, lambda d: d['action']['mean'].__setitem__(0, float('nan')), 'not finite'),
        (STATISTICS, lambda d: d['action']['mean'].__setitem__(0, 1e3), 'is above max'),
    ],
)
def test_what_is_wrong_is_named(
    dataset: Path, file: str, break_it: Callable[[dict[str, Any]], None], said: str
) -> None:
    path = dataset / file
    values = json.loads(path.read_text())
    break_it(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as raised:
        training_set.read(dataset)
    assert said in str(raised.value)


def test_radians_are_refused(dataset: Path) -> None:
    path = dataset / STATISTICS
    values = json.loads(path.read_text())
    for name in ('observation.state', 'action'):
        for statistic in ('min', 'max', 'mean', 'std', 'q01', 'q10', 'q50', 'q90', 'q99'):
            values[name][statistic] = [number / 57.3 for number in values[name][statistic]]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match='radians'):
        training_set.read(dataset)


@pytest.mark.parametrize('name', [INFO, STATISTICS, 'meta/tasks.parquet'])
def test_a_missing_file_is_named(dataset: Path, name: str) -> None:
    (dataset / name).unlink()
    with pytest.raises(UserError, match=Path(name).name):
        training_set.read(dataset)


def test_a_dataset_without_tasks_is_refused(dataset: Path) -> None:
    empty = pandas.DataFrame({'task_index': []}, index=pandas.Index([], name='task', dtype=str))
    empty.to_parquet(dataset / 'meta/tasks.parquet')
    with pytest.raises(UserError, match='no task in it'):
        training_set.read(dataset)


def test_images_of_another_size_are_doubted(dataset: Path) -> None:
    path = dataset / INFO
    values = json.loads(path.read_text())
    values['features'][OVERHEAD]['shape'] = [240, 320, 3]
    path.write_text(json.dumps(values))
    (doubt,) = training_set.read(dataset).doubts
    assert 'the overhead images have 320x240 pixels' in doubt


def test_a_dataset_is_found_by_its_path_or_under_lerobots_folder(
    shared_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert training_set.find(str(shared_dataset)) == shared_dataset
    shutil.copytree(shared_dataset, tmp_path / 'me' / 'cube')
    monkeypatch.setenv('HF_LEROBOT_HOME', str(tmp_path))
    assert training_set.find('me/cube') == tmp_path / 'me' / 'cube'
    with pytest.raises(UserError, match='me/ball: no such folder'):
        training_set.find('me/ball')
    with pytest.raises(UserError, match='give --dataset'):
        training_set.find('')


def test_cameras_are_left_out_by_name(shared_dataset: Path) -> None:
    found = training_set.read(shared_dataset)
    assert found.cameras_without([]) == ('wrist', 'overhead')
    assert found.cameras_without(['wrist']) == ('overhead',)
    assert _refusal(found, ['wirst']).startswith('exclude_cameras: wirst: not in')
    assert 'no camera is left' in _refusal(found, ['wrist', 'overhead'])


def test_a_camera_that_only_the_policy_saw_may_be_left_out(dataset: Path) -> None:
    found = TrainingSet(dataset, 30.0, 1, 1, ('wrist',), (TASK,), {}, ())
    assert found.cameras_without(['overhead'], others=['wrist', 'overhead']) == ('wrist',)
    assert 'overhead: not in' in _refusal(found, ['overhead'])


def _refusal(found: TrainingSet, excluded: list[str]) -> str:
    with pytest.raises(UserError) as raised:
        found.cameras_without(excluded)
    return str(raised.value)
