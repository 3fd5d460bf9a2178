"""The parameters of a pipeline: the file, its lines, and what is typed over it."""

from pathlib import Path

import pytest

from so101_bringup.pipeline import parameters
from so101_node.error import UserError

CONFIG = Path(__file__).parents[1] / 'config'


@pytest.mark.parametrize('name', ['pipeline.yaml', 'pipeline_tiny.yaml'])
def test_the_files_of_the_suite_are_sound(name: str) -> None:
    file = parameters.read(CONFIG / name)
    assert parameters.assemble(parameters.defaults(), file).out == 'outputs/pipeline'


def test_the_defaults_have_every_key_but_nothing_else() -> None:
    assert set(parameters.defaults()) == set(parameters.KEYS)


def test_what_is_typed_goes_before_the_file_and_that_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('demonstrations: 5\nrollouts: 6\ntraining:\n  steps: 7\n  batch_size: 8\n')
    typed = parameters.overrides(
        ['rollouts=9', 'training.steps=10', 'training.policy.optimizer_lr=1e-5', 'policy=act']
    )
    found = parameters.assemble(parameters.defaults(), parameters.read(file), typed)
    assert (found.demonstrations, found.rollouts, found.policy) == (5, 9, 'act')
    words = parameters.training_words(found.training)
    assert {'steps=10', 'batch_size=8', 'policy.optimizer_lr=1e-5', 'save_freq=2000'} <= set(words)
    # Those of the default's policy are none of an ACT's.
    assert [word for word in words if word.startswith('policy.')] == ['policy.optimizer_lr=1e-5']


def test_options_of_the_policy_stay_with_it() -> None:
    layers = [
        {'policy': 'small', 'training': {'policy.a': '1', 'steps': 2}},
        {'policy': 'small', 'training': {'policy.b': '3'}},
    ]
    defaults = parameters.defaults() | {'training': {}}
    same = parameters.assemble(defaults, *layers)
    assert same.training == {'policy.a': '1', 'steps': 2, 'policy.b': '3'}
    other = parameters.assemble(defaults, *layers, {'policy': 'act'})
    assert other.training == {'steps': 2}


def test_a_training_takes_its_words_as_they_were_said(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('training:\n  image_transforms: false\n  exclude_cameras: [overhead, wrist]\n')
    words = parameters.training_words(parameters.read(file)['training'])
    assert words == ['image_transforms=false', 'exclude_cameras=overhead,wrist']


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        ('demonstrations: 5\nrolouts: 3\n', r':2: unknown key rolouts; did you mean rollouts\?'),
        ('demonstrations: many\n', ':1: demonstrations: expected int'),
        ('rollouts: 2\ndemonstrations: 0\n', ':2: demonstrations: 0 is too small'),
        ('mode: slow\n', ":1: mode: 'slow' is none of rtc"),
        ('\n\ntraining:\n  steps: 3\n  batch_size: 0\n', ':5: training: batch_size is 0, exp'),
        ('training:\n  steps: true\n', ':2: training: steps is True, expected a whole number'),
        ('training:\n  out: there\n', ':2: training: out: the pipeline gives the training its'),
        ('training: 5\n', ':1: training: expected lines of the form'),
        ('mode: rtc\nmode: rtc\n', ':2: mode stands there twice'),
        ('mode: [rtc\n', ':2: not YAML'),
    ],
)
def test_an_error_of_a_file_has_its_line(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text(text)
    with pytest.raises(UserError, match=rf'^{file}{error}'):
        parameters.read(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'configuration .*/mine\.yaml: No such file'):
        parameters.read(tmp_path / 'mine.yaml')


@pytest.mark.parametrize(
    ('word', 'error'),
    [
        ('demonstrations', 'expected KEY=VALUE'),
        ('=3', 'expected KEY=VALUE'),
        ('demonstration=3', 'unknown key demonstration; the nearest is demonstrations'),
        ('training=3', r'unknown key training; the nearest is training\.steps'),
        ('training.steps=x', "the command line: steps is 'x', expected a whole number"),
        ('training.policy=act', 'the pipeline gives the training its own'),
        ('rollouts=1.5', 'rollouts: expected int'),
        ('rollouts=', 'rollouts: expected int'),
        ('rollouts=[', "'rollouts=\\['"),
    ],
)
def test_a_wrong_word_is_refused(word: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        parameters.overrides([word])


@pytest.mark.parametrize('seed', [0, 4, 9])
def test_rollouts_do_not_start_as_demonstrations_did(seed: int) -> None:
    defaults = parameters.defaults()
    given = {'demonstrations': 10, 'rollouts': 5, 'demonstration_seed': 5}
    with pytest.raises(UserError, match='let rollouts start as demonstrations did'):
        parameters.assemble(defaults, given, {'evaluation_seed': seed + 1})
    for apart in (0, 15):
        parameters.assemble(defaults, given, {'evaluation_seed': apart})


@pytest.mark.parametrize('name', ['out', 'policy'])
def test_a_text_is_not_empty(name: str) -> None:
    with pytest.raises(UserError, match=f'{name} is empty'):
        parameters.assemble(parameters.defaults(), {name: ''})
