import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

from so101_node.error import UserError
from so101_training.training import checkpoint_writer


def fill(text: str) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        (folder / 'deep').mkdir()
        (folder / 'deep' / 'weights').write_text(text)

    return save


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_is_written_whole_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / 'checkpoints' / '000002'
    checkpoint_writer.write(folder, fill('2'))
    checkpoint_writer.link_last(folder)
    assert (folder.parent / 'last' / 'deep' / 'weights').read_text() == '2'
    assert names(folder.parent) == ['000002', 'last']


def test_an_older_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / '000002'
    checkpoint_writer.write(folder, fill('old'))
    checkpoint_writer.write(folder, fill('new'))
    assert (folder / 'deep' / 'weights').read_text() == 'new'
    assert names(tmp_path) == ['000002']


@pytest.mark.parametrize(
    'error', [OSError(errno.ENOSPC, 'No space left on device'), SafetensorError('No space left')]
)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, error: Exception) -> None:
    checkpoint_writer.write(tmp_path / '000002', fill('2'))
    checkpoint_writer.link_last(tmp_path / '000002')

    def half(folder: Path) -> None:
        fill('4')(folder)
        raise error

    with pytest.raises(UserError) as raised:
        checkpoint_writer.write(tmp_path / '000004', half)
    assert 'No space left' in str(raised.value)
    assert '--resume-from' in str(raised.value)
    assert '000002' in str(raised.value)
    assert names(tmp_path) == ['000002', 'last']
    assert (tmp_path / 'last').readlink() == Path('000002')


def test_an_interruption_leaves_nothing_either(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        fill('2')(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoint_writer.write(tmp_path / '000002', interrupted)
    assert names(tmp_path) == []


def test_a_kill_within_a_save_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from so101_training.training import checkpoint_writer

def save(folder):
    (folder / 'weights').write_text('2')

def killed(folder):
    (folder / 'weights').write_text('half')
    os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
checkpoint_writer.write(folder / '000002', save)
checkpoint_writer.link_last(folder / '000002')
checkpoint_writer.write(folder / '000004', killed)
"""
    killed = subprocess.run([sys.executable, '-c', code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / '000004').exists()
    assert (tmp_path / 'last' / 'weights').read_text() == '2'
    checkpoint_writer.clear(tmp_path)
    assert names(tmp_path) == ['000002', 'last']


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    checkpoint_writer.write(tmp_path / '000002', fill('old'))
    (tmp_path / '000002').rename(tmp_path / '.000002.replaced')
    checkpoint_writer.clear(tmp_path)
    assert (tmp_path / '000002' / 'deep' / 'weights').read_text() == 'old'


def test_there_is_always_a_last_link(tmp_path: Path) -> None:
    for name in ('000002', '000004'):
        checkpoint_writer.write(tmp_path / name, fill(name))
        checkpoint_writer.link_last(tmp_path / name)
        assert (tmp_path / 'last').readlink() == Path(name)
