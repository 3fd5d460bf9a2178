"""The command so101 pipeline: what it says before, and how it ends."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from so101_bringup.pipeline import command, process
from so101_bringup.pipeline.process import Stopped


def ended(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    """Return the exit code, and what was said and complained of."""
    with pytest.raises(SystemExit) as end:
        command.main(words)
    return (end.value.code, *capsys.readouterr())


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(['--dry-run', f'out={tmp_path}/new', 'demonstrations=7'])
    said = capsys.readouterr().out
    assert '1 demonstrate to do: 7 demonstrations' in said
    assert 'left: about ' in said and ' and the training' in said
    assert not (tmp_path / 'new').exists()


def test_a_wrong_word_ends_it_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, complaint = ended([f'out={tmp_path}/new', 'rollots=7'], capsys)
    assert (code, said) == (1, '')
    assert complaint == (
        'pipeline: the command line: unknown key rollots; the nearest is rollouts\n'
    )


def test_a_step_that_fails_ends_it_with_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, 'run', lambda *_: 1)
    code, said, complaint = ended([f'out={tmp_path}/n w', 'rollouts=7'], capsys)
    assert code == 1
    assert 'pipeline: so101 record sim:=true num_episodes:=300' in said
    assert complaint.splitlines() == [
        'pipeline: step 1 of 6, demonstrate, ended with 1: what it said stands above',
        f"pipeline: see to that, and go on with: so101 pipeline 'out={tmp_path}/n w' rollouts=7",
    ]


@pytest.mark.parametrize('number', [2, 15])
def test_a_signal_ends_it_with_its_number(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def stop(words: Sequence[str], lock: int, beat: Callable[[], object]) -> int:
        raise Stopped(number)

    monkeypatch.setattr(process, 'run', stop)
    code, _, complaint = ended([f'out={tmp_path}'], capsys)
    assert code == 128 + number
    assert complaint == f'pipeline: stopped; go on with: so101 pipeline out={tmp_path}\n'
