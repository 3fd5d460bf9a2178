from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from so101_node.error import UserError
from so101_training.training import parameters

SHIPPED = Path(__file__).parents[2] / 'config' / 'train.yaml'


def test_the_shipped_file_has_the_parameters_of_the_original_project() -> None:
    found = parameters.assemble(parameters.read(SHIPPED))
    assert found.policy == 'lerobot/smolvla_base'
    assert (found.batch_size, found.steps, found.save_freq, found.log_freq) == (
        64,
        20000,
        5000,
        100,
    )
    assert (found.num_workers, found.image_transforms, found.video_backend) == (4, True, 'pyav')
    assert (found.wandb, found.push_to_hub, found.out) == (False, False, 'outputs/train')
    assert found.options == {}


def test_the_shipped_file_comments_every_key() -> None:
    lines = SHIPPED.read_text().splitlines()
    for key in parameters.KEYS:
        place = next(i for i, line in enumerate(lines) if line.startswith(f'{key}:'))
        assert lines[place - 1].startswith('# ') or lines[place - 2].startswith('# ')


def test_later_layers_go_before_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('steps: 10\nbatch_size: 8\n')
    found = parameters.assemble(
        parameters.read(SHIPPED), parameters.read(file), parameters.overrides(['steps=3'])
    )
    assert (found.steps, found.batch_size, found.save_freq) == (3, 8, 5000)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / 'empty.yaml').write_text('# nothing\n')
    assert parameters.read(tmp_path / 'empty.yaml') == {}


def test_options_of_lerobot_stay_as_they_were_typed() -> None:
    typed = ['policy.optimizer_lr=1e-4', 'prefetch_factor=2', 'dataset.episodes=[0, 1]']
    assert parameters.overrides(typed) == dict(word.split('=', 1) for word in typed)


def test_options_of_lerobot_in_a_file_become_what_its_command_line_takes() -> None:
    found = parameters.checked({'dataset.episodes': [0, 1], 'cudnn_deterministic': True}, 'here')
    assert found == {'dataset.episodes': '[0, 1]', 'cudnn_deterministic': 'true'}


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ({'bach_size': 3}, "unknown key 'bach_size'; the nearest is batch_size"),
        ({'prefech_factor': 3}, 'the nearest is prefetch_factor'),
        ({3: 3}, 'unknown key 3'),
        ({'steps': '3'}, "steps is '3', expected a whole number"),
        ({'steps': True}, 'steps is True, expected a whole number'),
        ({'steps': 0}, 'steps is 0, expected 1 or more'),
        ({'wandb': 'yes'}, "wandb is 'yes', expected true or false"),
        ({'policy': 3}, 'policy is 3, expected a text'),
        ({'device': 'tpu'}, 'device is tpu, expected auto or cuda or mps or cpu'),
        ({'exclude_cameras': 3}, 'exclude_cameras is 3, expected a list of names'),
        ({'policy.path': 'x'}, "policy.path is LeRobot's name; here it is policy"),
        ({'dataset.streaming': True}, 'read, not streamed'),
        ({'env.type': 'pusht'}, 'rollouts are so101 evaluate'),
    ],
)
def test_what_is_wrong_is_named(values: dict[Any, Any], said: str) -> None:
    with pytest.raises(UserError, match=r'^here: ') as raised:
        parameters.checked(values, 'here')
    assert said in str(raised.value)


@pytest.mark.parametrize('word', ['steps', '=3', 'steps=[1'])
def test_a_word_that_is_no_key_and_value_is_refused(word: str) -> None:
    with pytest.raises(UserError):
        parameters.overrides([word])


@pytest.mark.parametrize('text', ['[1, 2]', 'steps: [', '\x00'])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / 'bad.yaml').write_text(text)
    with pytest.raises(UserError, match=r'bad\.yaml'):
        parameters.read(tmp_path / 'bad.yaml')


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='No such file'):
        parameters.read(tmp_path / 'none.yaml')


def test_a_missing_value_is_named() -> None:
    with pytest.raises(UserError, match='no value for dataset, '):
        parameters.assemble({'steps': 3})


@given(some.dictionaries(some.text(max_size=12), some.integers() | some.text() | some.none()))
def test_whatever_a_file_holds_it_is_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        found = parameters.checked(values, 'here')
    except UserError:
        return
    assert set(found) == set(values)


def test_cameras_may_be_a_list_or_words_between_commas() -> None:
    listed = parameters.checked(yaml.safe_load('exclude_cameras: [wrist, overhead]'), 'here')
    assert listed == parameters.checked({'exclude_cameras': 'wrist, overhead'}, 'here')
