"""Prompts are said by whatever program there is, and nobody waits for it."""

import os
import time
from pathlib import Path

import pytest

from so101_episodes.voice import Voice


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the whole PATH."""
    monkeypatch.setenv('PATH', str(tmp_path))
    return tmp_path


def install(programs: Path, name: str, script: str) -> Path:
    """Install a program that writes down its arguments; return where."""
    said = programs / f'{name}.said'
    program = programs / name
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{script}\n')
    program.chmod(0o755)
    return said


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or path.read_text() != text:
        assert time.monotonic() < deadline, f'{text!r} is not said'
        time.sleep(0.01)


def test_the_first_program_that_is_there_speaks(programs: Path) -> None:
    install(programs, 'espeak', '')
    said = install(programs, 'espeak-ng', '')
    warnings: list[str] = []
    voice = Voice(warnings.append)
    voice.say('put the object back')
    wait_for(said, '-- put the object back\n')
    assert warnings == []


def test_a_newer_prompt_cuts_off_the_last_and_nobody_waits(programs: Path) -> None:
    sleep = os.path.realpath('/bin/sleep')
    said = install(programs, 'espeak', f'[ "$2" = two ] || exec {sleep} 60')
    voice = Voice(lambda _: None)
    began = time.monotonic()
    voice.say('one')
    wait_for(said, '-- one\n')
    voice.say('two')
    wait_for(said, '-- one\n-- two\n')
    assert time.monotonic() - began < 20


def test_a_service_with_a_queue_is_told_to_empty_it(programs: Path) -> None:
    said = install(programs, 'spd-say', '')
    voice = Voice(lambda _: None)
    voice.say('-1 of 5')
    wait_for(said, '-C -- -1 of 5\n')


def test_without_a_program_there_is_one_warning(programs: Path) -> None:
    warnings: list[str] = []
    voice = Voice(warnings.append)
    voice.say('one')
    voice.say('two')
    assert warnings == [
        'no voice: none of spd-say, espeak-ng, espeak is installed; prompts are only printed'
    ]


def test_a_program_that_fails_is_told_once(programs: Path) -> None:
    said = install(programs, 'espeak', 'exit 3')
    warnings: list[str] = []
    voice = Voice(warnings.append)
    voice.say('one')
    wait_for(said, '-- one\n')
    assert voice._speaking is not None
    voice._speaking.wait()
    for _ in range(2):
        voice.say('two')
    assert warnings == ['no voice: espeak: exit code 3; prompts are only printed']
    assert said.read_text() == '-- one\n'
