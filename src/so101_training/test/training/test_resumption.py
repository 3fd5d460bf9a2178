import json
import os
from pathlib import Path

import pytest

from so101_node.error import UserError
from so101_training.training import resumption


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of eight steps that was killed after its fourth."""
    for step in (2, 4):
        folder = tmp_path / 'run' / 'checkpoints' / f'{step:06}'
        for name in resumption._NEEDED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        state = {'step': step, 'num_processes': 2}
        (folder / 'training_state' / 'training_step.json').write_text(json.dumps(state))
        (folder / 'pretrained_model' / 'train_config.json').write_text('{"steps": 8}')
    (tmp_path / 'run' / 'checkpoints' / 'last').symlink_to('000004')
    return tmp_path / 'run'


def test_a_run_a_checkpoint_and_its_model_all_name_it(run: Path) -> None:
    found = resumption.read(run)
    assert found.folder == run / 'checkpoints' / '000004'
    assert (found.step, found.total, found.num_processes, found.run) == (4, 8, 2, run)
    assert resumption.read(run / 'checkpoints' / 'last') == found
    assert resumption.read(run / 'checkpoints' / '000004' / 'pretrained_model') == found
    assert resumption.read(run / 'checkpoints' / '000002').step == 2


@pytest.mark.parametrize('name', resumption._NEEDED)
def test_what_is_missing_is_named(run: Path, name: str) -> None:
    (run / 'checkpoints' / '000004' / name).unlink()
    with pytest.raises(UserError, match=f'{name} is missing'):
        resumption.read(run)


def test_what_is_no_checkpoint_of_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no such folder'):
        resumption.read(tmp_path / 'none')
    with pytest.raises(UserError, match='no checkpoint in it'):
        resumption.read(tmp_path)
    (run / 'checkpoints' / '000002').rename(tmp_path / 'copy')
    with pytest.raises(UserError, match='not in the folder of a run'):
        resumption.read(tmp_path / 'copy')
    (run / 'checkpoints' / '000004').rename(run / 'checkpoints' / '.000004.saving')
    with pytest.raises(UserError, match='not in the folder of a run'):
        resumption.read(run / 'checkpoints' / '.000004.saving')


def test_the_command_is_short_where_it_can_be(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    assert resumption.command(run) == 'so101 train --resume-from run'
    monkeypatch.chdir('/')
    assert resumption.command(run / 'a b').endswith(f"'{os.path.relpath(run / 'a b', '/')}'")


def test_a_new_run_takes_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    resumption.check_new(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    resumption.check_new(tmp_path / 'empty')
    assert not (tmp_path / 'empty').exists()  # LeRobot takes none that exists


def test_a_new_run_overwrites_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='stopped at step 4 of 8; go on with it: so101 train'):
        resumption.check_new(run)
    for folder in (run / 'checkpoints').glob('0*'):
        (folder / 'pretrained_model' / 'train_config.json').write_text('{"steps": 4}')
    with pytest.raises(UserError, match=r'has done its 4 steps.* steps=8'):
        resumption.check_new(run)
    with pytest.raises(UserError, match='holds something else'):
        resumption.check_new(tmp_path)
    (tmp_path / 'begun').mkdir()
    (tmp_path / 'begun' / 'train.log').touch()
    with pytest.raises(UserError, match='ended before its first checkpoint; remove it'):
        resumption.check_new(tmp_path / 'begun')
