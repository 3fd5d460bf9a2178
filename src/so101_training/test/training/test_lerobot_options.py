import sys
import tempfile
from pathlib import Path

import pytest

from so101_node.error import UserError
from so101_training.training import lerobot_options

NEW = ['--policy.type=act', '--policy.device=cpu', '--policy.push_to_hub=false']
DATA = ['--dataset.repo_id=local/cube']


def test_our_keys_become_lerobots() -> None:
    values = {'steps': 3, 'image_transforms': True, 'video_backend': 'pyav', 'out': 'runs/1'}
    options = {'policy.optimizer_lr': '1e-3', 'prefetch_factor': '2'}
    words = [*lerobot_options.words(values), *lerobot_options.words(options)]
    config = lerobot_options.parse([*NEW, *DATA, *words])
    assert config.steps == 3
    assert config.dataset.image_transforms.enable
    assert config.dataset.video_backend == 'pyav'
    assert config.policy.optimizer_lr == config.optimizer.lr == 1e-3
    assert config.prefetch_factor == 2


def test_nothing_is_left_of_the_reading(tiny_policy: Path) -> None:
    before, files = list(sys.argv), set(Path(tempfile.gettempdir()).glob('tmp*.json'))
    lerobot_options.parse([f'--policy.path={tiny_policy}', '--policy.device=cpu', *DATA])
    assert sys.argv == before
    assert set(Path(tempfile.gettempdir()).glob('tmp*.json')) == files


@pytest.mark.parametrize(
    ('word', 'said'),
    [
        ('--dataset.episods=[0]', 'no option dataset.episods; the nearest is dataset.episodes'),
        ('--stps=3', 'no option stps; the nearest is steps'),
        ('--steps=many', "`steps`: Couldn't parse 'many' into an int"),
        ('--dataset.eval_split=2', 'eval_split must be in [0.0, 1.0)'),
        ('--eval_steps=3', 'eval_steps > 0 requires dataset.eval_split'),
    ],
)
def test_what_lerobot_refuses_is_said_in_a_line(word: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        lerobot_options.parse([*NEW, *DATA, word])
    assert said in str(raised.value)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
    ('word', 'said'),
    [
        (
            '--policy.optimzer_lr=3',
            'no option policy.optimzer_lr; the nearest is policy.optimizer_lr',
        ),
        ('--policy.optimizer_lr=fast', "`optimizer_lr`: Couldn't parse 'fast' into a float"),
    ],
)
def test_so_are_the_options_of_a_checkpoint(tiny_policy: Path, word: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        lerobot_options.parse([f'--policy.path={tiny_policy}', *DATA, word])
    assert said in str(raised.value)
