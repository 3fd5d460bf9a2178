"""The so101 command: what it lists, what it runs, what it refuses."""

from pathlib import Path

import pytest

from so101_bringup.command import run
from so101_node.error import UserError

GRAPHS = ['infer', 'record', 'evaluate', 'replay', 'teleop', 'cameras', 'demo']
TOOLS = ['robot', 'udev', 'doctor', 'setup_motors', 'calibrate', 'report', 'compare', 'video']
TOOLS += ['salvage', 'lockstep', 'open_loop', 'convert', 'check', 'train', 'pipeline']
COMMANDS = GRAPHS + TOOLS


@pytest.mark.parametrize('words', [[], ['--help'], ['list']])
def test_every_command_has_a_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines() if line[:2] == '  ']
    assert [line[0] for line in listed] == COMMANDS
    assert all(len(line) > 3 for line in listed)


def test_an_unknown_command_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=f'known: {", ".join(COMMANDS)}$'):
        run(['calibrat'])


@pytest.mark.parametrize(
    ('name', 'option'), [('setup_motors', '--check'), ('calibrate', '--role')]
)
def test_the_drivers_commands_say_their_options(
    name: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run([name, '--help'])
    assert end.value.code == 0
    assert option in capsys.readouterr().out


@pytest.mark.parametrize('name', ['setup_motors', 'calibrate'])
def test_the_drivers_commands_take_the_words_and_fail_with_their_code(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['--port', str(tmp_path / 'nothing')]
    words += ['--check'] if name == 'setup_motors' else ['--id', 'arm']
    with pytest.raises(SystemExit) as end:
        run([name, *words])
    assert end.value.code == 1
    assert f'{name}: ' in (said := capsys.readouterr().err)
    assert str(tmp_path / 'nothing') in said
