"""Our parameters as the words of LeRobot's trainer, and its own parser's reading of them."""

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lerobot.configs import parser
from lerobot.configs.train import TrainPipelineConfig

from so101_node.error import UserError
from so101_policy import temporary_files
from so101_training.training.parameters import nearest

# Our keys that are options of LeRobot under a name of its own, or the same.
_NAMES = {
    'batch_size': 'batch_size',
    'steps': 'steps',
    'save_freq': 'save_freq',
    'log_freq': 'log_freq',
    'num_workers': 'num_workers',
    'seed': 'seed',
    'image_transforms': 'dataset.image_transforms.enable',
    'video_backend': 'dataset.video_backend',
    'device': 'policy.device',
    'wandb': 'wandb.enable',
    'push_to_hub': 'policy.push_to_hub',
}


def words(values: Mapping[str, Any]) -> list[str]:
    """Return --name=value for each of our keys that LeRobot has, and for each of its own."""
    return [
        f'--{_NAMES.get(key, key)}={_text(value)}'
        for key, value in values.items()
        if key in _NAMES or key not in _ELSEWHERE
    ]


# Keys that say where the training starts and what runs it, not how LeRobot trains.
_ELSEWHERE = ('dataset', 'policy', 'out', 'exclude_cameras', 'cache', 'num_processes')


def parse(options: Sequence[str]) -> TrainPipelineConfig:
    """Return LeRobot's configuration of a training, checked by LeRobot.

    Raises UserError for an option that it does not know, with the nearest one, for a value that it
    does not take, and for a policy that it cannot read.
    """
    said = io.StringIO()
    try:
        with _command_line(options), temporary_files.removed(), contextlib.redirect_stderr(said):
            config = _parsed()
            config.validate()
    except SystemExit as error:
        raise UserError(_complaint(said.getvalue(), options)) from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f'LeRobot: {" ".join(str(error).split())}') from error
    except Exception as error:
        # draccus has its own exceptions, which its users are not meant to import.
        if not type(error).__module__.startswith('draccus'):
            raise
        texts = [str(error), *([str(error.__context__)] if error.__context__ else [])]
        raise UserError(f'LeRobot: {" ".join(": ".join(texts).split())}') from error
    return config


@parser.wrap()
def _parsed(config: TrainPipelineConfig) -> TrainPipelineConfig:
    return config


@contextlib.contextmanager
def _command_line(options: Sequence[str]) -> Iterator[None]:
    """LeRobot's parser reads sys.argv, again and again."""
    before, sys.argv = sys.argv, ['so101 train', *options]
    try:
        yield
    finally:
        sys.argv = before


def _complaint(said: str, options: Sequence[str]) -> str:
    """Return the last line of an argument parser's help, with the nearest option it has."""
    last = said.strip().splitlines()[-1] if said.strip() else 'it refused the options'
    last = last.partition('error: ')[2] or last
    unknown = re.search(r'unrecognized arguments: --([\w.]+)', last)
    if unknown is None:
        return f'LeRobot: {last}'
    near = nearest(unknown[1], re.findall(r'\[--([\w.]+)', said))
    # The options of a policy are parsed by themselves, without policy. before each.
    typed = [word.removeprefix('--').partition('=')[0] for word in options]
    prefix = '' if unknown[1] in typed else 'policy.'
    return f'LeRobot has no option {prefix}{unknown[1]}; the nearest is {prefix}{near}'


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def dataset_words(folder: Path) -> list[str]:
    """Return the words that name a dataset on this machine."""
    return [f'--dataset.repo_id=local/{folder.name}', f'--dataset.root={folder}']
