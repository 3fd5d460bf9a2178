import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from so101_node.error import UserError
from so101_training.training import processes

from .conftest import BATCH, words


def test_the_command_is_accelerates_with_the_same_words() -> None:
    found = processes.command(2, ['--dataset', 'cube', 'steps=3'])
    assert found[1:4] == ['-m', 'accelerate.commands.launch', '--multi_gpu']
    assert '--num_processes=2' in found
    assert found[-5:] == ['--module', 'so101_training.train', '--dataset', 'cube', 'steps=3']


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(UserError, match='num_processes is 99, but torch finds'):
        processes.check(99, 'cuda')
    with pytest.raises(UserError, match='mps is one device'):
        processes.check(2, 'mps')
    processes.check(2, 'cpu')


@pytest.mark.timeout(240)  # four processes import torch
def test_two_processes_train_one_model(
    shared_dataset: Path,
    tiny_policy: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'run'
    processes.run(2, words(shared_dataset, tiny_policy, out, 'steps=1', 'device=cpu', '--gpus=2'))
    said = capfd.readouterr()
    assert said.out.count('making the policy') == 1  # only one of them speaks
    assert said.err == ''
    saved = out / 'checkpoints' / 'last'
    state = json.loads((saved / 'training_state' / 'training_step.json').read_text())
    assert state == {'step': 1, 'num_processes': 2, 'batch_size': BATCH}
    before, after = (
        load_file(folder / 'model.safetensors')
        for folder in (tiny_policy, saved / 'pretrained_model')
    )
    assert any((before[name] != after[name]).any() for name in before)


@pytest.mark.timeout(240)
def test_the_error_of_a_process_is_the_error_of_all(
    shared_dataset: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    wrong = words(shared_dataset, tiny_policy, tmp_path / 'run', 'steps=none', '--gpus=2')
    with pytest.raises(UserError, match="steps is 'none', expected a whole number"):
        processes.run(2, wrong)
