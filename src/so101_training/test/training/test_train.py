import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.common import train_utils
from safetensors.numpy import load_file

from so101_policy import checkpoint
from so101_policy.loaded_policy import LoadedPolicy
from so101_training import train
from so101_training.training import trainer

from .conftest import SAVE, STEPS, TASK, words

SEEN = {'observation.images.overhead', 'observation.state'}
MODEL = 'pretrained_model/model.safetensors'
OPTIMIZER = 'training_state/optimizer_state.safetensors'

# Processes import torch and LeRobot, which takes seconds of a free core and minutes of a busy one.
pytestmark = pytest.mark.timeout(240)

# Trains, and is killed where KILL says: in the save of step 4, or in the step after step 3.
KILLED = """
import os, signal, sys
from lerobot.common import train_utils
from so101_training import train
from so101_training.training.trainer import Trainer

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def update(self, tracker, *rest, original=Trainer._update, **named):
    return kill() if tracker.steps == 3 else original(self, tracker, *rest, **named)

def save(folder, step, *rest, original=train_utils.save_training_state, **named):
    return kill() if step == 4 else original(folder, step, *rest, **named)

if __name__ == '__main__':
    if os.environ['KILL'] == 'save':
        train_utils.save_training_state = save
    else:
        Trainer._update = update
    train.main(sys.argv[1:])
"""


def refusal(words_: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command says when it ends with 1."""
    with pytest.raises(SystemExit) as raised:
        train.main(words_)
    assert raised.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith('train: ')
    assert said.count('\n') == 1
    return said


@pytest.mark.parametrize(('place', 'workers'), [('save', 0), ('step', 2)])
def test_a_killed_run_goes_on_and_ends_bit_identical(
    place: str,
    workers: int,
    trained: Path,
    shared_dataset: Path,
    tiny_policy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script, out = tmp_path / 'killed.py', tmp_path / 'run'
    script.write_text(KILLED)
    same = words(shared_dataset, tiny_policy, out, f'num_workers={workers}')
    killed = subprocess.run(
        [sys.executable, script, *same],
        env=os.environ | {'KILL': place},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    checkpoints = out / 'checkpoints'
    assert (checkpoints / 'last').readlink() == Path('000002')
    assert not (checkpoints / '000004').exists()

    # The same again is refused, and says what to type; that is what is done.
    said = refusal(same, capsys)
    assert 'stopped at step 2 of 6' in said
    found = re.search(r'so101 train (--resume-from) (\S+);', said)
    assert found is not None
    train.main([found[1], found[2]])

    for name in (MODEL, OPTIMIZER):
        for step in ('000004', '000006'):
            ours, whole = (folder / 'checkpoints' / step / name for folder in (out, trained))
            assert ours.read_bytes() == whole.read_bytes()
    with (out / trainer.CSV).open() as rows, (trained / trainer.CSV).open() as expected:
        for row, wanted in zip(csv.DictReader(rows), csv.DictReader(expected), strict=True):
            assert (row['step'], row['loss']) == (wanted['step'], wanted['loss'])
    note = json.loads((checkpoints / 'last/pretrained_model/so101.json').read_text())
    times = [entry['wall_s'] for entry in note['history']]
    assert [entry['step'] for entry in note['history']] == [2, 4, 6]
    assert times == sorted(times)
    assert not [path for path in checkpoints.iterdir() if path.name.startswith('.')]


def test_a_run_leaves_its_history(trained: Path) -> None:
    with (trained / trainer.CSV).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row['step']) for row in rows] == list(range(1, STEPS + 1))
    assert all(float(row['update_s']) > 0 and float(row['loss']) > 0 for row in rows)
    assert (trained / trainer.PLOT).stat().st_size > 10_000
    assert 'Start offline training' in (trained / trainer.LOG).read_text()
    steps = sorted(path.name for path in (trained / 'checkpoints').iterdir())
    assert steps == [f'{step:06}' for step in range(SAVE, STEPS + 1, SAVE)] + ['last']


def test_the_robot_takes_the_checkpoint_without_a_doubt(trained: Path, tmp_path: Path) -> None:
    # Nothing but the checkpoint's own folder: neither its dataset nor where it came from.
    alone = shutil.copytree(trained / 'checkpoints/last/pretrained_model', tmp_path / 'alone')
    (alone / 'train_config.json').unlink()
    found = checkpoint.read(alone)
    assert found.doubts == ()
    assert (found.cameras, found.fps, found.tasks) == (('wrist', 'overhead'), 30, (TASK,))
    assert found.trained
    assert found.state is not None and found.state.span().measured
    assert found.images.keys() == {'wrist', 'overhead'}
    policy = LoadedPolicy(found, 'cpu', 1)
    chunk = policy.predict(np.zeros((2, 480, 640, 3), np.uint8), np.zeros(6), TASK)
    assert chunk.shape == (50, 6)
    assert np.isfinite(chunk).all()


def test_the_model_card_says_what_it_is(trained: Path) -> None:
    folder = trained / 'checkpoints' / '000004' / 'pretrained_model'
    card = (folder / 'README.md').read_text()
    for said in (
        'step 4 of 6',
        'trained from random weights',
        'It sees wrist and overhead',
        f'| task | {TASK} |',
        '| batch size | 5 |',
        '|    4 |',
        'infer.launch.py checkpoint:=',
        '**How well it does the task is not known.**',
        'lerobot 0.6.1',
    ):
        assert said in card
    assert '|    6 |' not in card
    assert (folder / 'training.png').is_file()


def test_an_excluded_camera_is_not_decoded(
    dataset: Path, tiny_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(dataset / 'videos' / 'observation.images.wrist')
    (dataset / 'videos' / 'observation.images.wrist').write_text('no video')
    out = tmp_path / 'run'
    train.main(
        words(dataset, tiny_policy, out, 'steps=1', 'num_workers=1', '--exclude-cameras', 'wrist')
    )
    assert 'seeing overhead, without wrist' in capsys.readouterr().out
    # A resumed run goes without it too, and needs not be told.
    train.main(['--resume-from', str(out), 'steps=2', 'num_workers=0'])
    found = checkpoint.read(out)
    assert (found.cameras, found.doubts) == (('overhead',), ())
    found.check_cameras(['overhead'])
    note = json.loads((found.path / checkpoint.NOTE).read_text())
    assert set(note['statistics']) == {'action', *SEEN}
    assert 'It sees overhead' in (found.path / 'README.md').read_text()
    config = json.loads((found.path / 'train_config.json').read_text())
    assert set(config['policy']['input_features']) == SEEN


def test_a_full_disk_in_a_save_is_said_in_a_line(
    shared_dataset: Path,
    tiny_policy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(train_utils, 'save_training_state', full)
    said = refusal(words(shared_dataset, tiny_policy, tmp_path / 'run', 'steps=1'), capsys)
    assert 'No space left on device' in said
    assert list((tmp_path / 'run' / 'checkpoints').iterdir()) == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_says_how_to_go_on(
    number: int,
    shared_dataset: Path,
    tiny_policy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = trainer.Trainer._record

    def interrupted(self: trainer.Trainer, tracker: Any) -> None:
        original(self, tracker)
        if tracker.steps == 1:
            signal.raise_signal(number)

    monkeypatch.setattr(trainer.Trainer, '_record', interrupted)
    out = tmp_path / 'run'
    with pytest.raises(SystemExit) as raised:
        train.main(words(shared_dataset, tiny_policy, out, 'save_freq=100'))
    assert raised.value.code == 128 + number
    said = capsys.readouterr().err
    assert said.startswith('train: stopped; step ')
    assert said.endswith(f'--resume-from {(out / "checkpoints" / "last").resolve()}\n')
    assert checkpoint.read(out).trained


def test_a_dry_run_makes_everything_and_writes_nothing(
    shared_dataset: Path, tiny_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(words(shared_dataset, tiny_policy, tmp_path / 'run', '--dry-run'))
    assert 'nothing was written' in capsys.readouterr().out
    assert not (tmp_path / 'run').exists()


def test_a_loss_that_is_not_finite_ends_the_run(
    shared_dataset: Path, tiny_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(
        words(shared_dataset, tiny_policy, tmp_path / 'run', 'policy.optimizer_lr=1e30'), capsys
    )
    assert 'the loss is nan' in said


def test_a_frame_that_cannot_be_read_is_named(
    dataset: Path, tiny_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for video in (dataset / 'videos').rglob('*.mp4'):
        video.write_bytes(b'no video')
    more = ('num_workers=1', 'steps=1')
    said = refusal(words(dataset, tiny_policy, tmp_path / 'run', *more), capsys)
    assert re.search(rf'{dataset}/videos/\S+\.mp4 .*; convert the dataset again', said)


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        (['bach_size=3'], "unknown key 'bach_size'; the nearest is batch_size"),
        (['policy.chunk_sise=3'], 'the nearest is policy.chunk_size'),
        (['device=cuda'], 'device cuda: torch finds none here'),
        (['--exclude-cameras', 'front'], 'front: not in'),
        (['--resume-from', 'nowhere'], 'nowhere: no such folder'),
        (['--config', 'nowhere.yaml'], 'nowhere.yaml: No such file'),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    more: list[str],
    said: str,
    shared_dataset: Path,
    tiny_policy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said in refusal(words(shared_dataset, tiny_policy, tmp_path / 'run', *more), capsys)
    assert not (tmp_path / 'run').exists()


def test_a_resumed_run_keeps_what_it_was_begun_with(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resume = ['--resume-from', str(trained)]
    assert 'it is done' in refusal(resume, capsys)
    assert 'seed belongs to the run' in refusal([*resume, 'seed=3'], capsys)
    assert '--config with --resume-from' in refusal([*resume, '--config', 'x.yaml'], capsys)


def test_the_trained_weights_differ_from_the_first(trained: Path, tiny_policy: Path) -> None:
    before = load_file(tiny_policy / 'model.safetensors')
    after = load_file(trained / 'checkpoints/last' / MODEL)
    assert any((before[name] != after[name]).any() for name in before)


def test_the_command_needs_no_rclpy() -> None:
    code = (
        "import sys; sys.modules['rclpy'] = None; import so101_training.train; "
        'import so101_training.training.planning; import so101_training.training.processes'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
