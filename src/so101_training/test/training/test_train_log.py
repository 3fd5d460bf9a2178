import logging
import sys
import warnings
from pathlib import Path

import pytest

from so101_training.training.train_log import TrainLog, chatter_in, set_up_logging


def test_what_is_said_before_there_is_a_file_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / 'train.log'
    path.write_text('an earlier run\n')
    with TrainLog() as log:
        print('first', file=log)
        log.open(path)
        print('second', file=log)
        assert path.read_text() == 'an earlier run\nfirst\nsecond\n'


def test_chatter_goes_to_the_log_and_warnings_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    with TrainLog() as log, chatter_in(log):
        log.open(tmp_path / 'train.log')
        set_up_logging(log, shown.append)
        print('loading')
        print('a bar', file=sys.stderr)
        logging.getLogger('lerobot').info('step 1')
        logging.warning('Resuming with batch_size=8')
        logging.getLogger('transformers.models').warning('deprecated')
        warnings.warn('old', stacklevel=1)
    assert shown == ['warning: Resuming with batch_size=8']
    text = (tmp_path / 'train.log').read_text()
    for said in ('loading', 'a bar', 'step 1', 'Resuming', 'deprecated', 'old'):
        assert said in text
    assert capsys.readouterr() == ('', '')


def test_afterwards_logging_is_as_before(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with TrainLog() as log, chatter_in(log):
        set_up_logging(log, print)
    assert (root.handlers, root.level) == before
