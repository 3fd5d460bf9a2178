"""Questions on a terminal: an answer is what was typed after the question."""

import io
import os
import pty
import select
import sys
from collections.abc import Iterator

import pytest

from so101_driver.terminal import Terminal
from so101_node.error import UserError

QUESTION = 'Hold the arm, then press Enter.'


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Make a terminal the input; return the descriptor to type on."""
    host, terminal = pty.openpty()
    with os.fdopen(terminal) as lines:
        monkeypatch.setattr(sys, 'stdin', lines)
        yield host
    os.close(host)


def type_ahead(keyboard: int, text: str) -> None:
    os.write(keyboard, text.encode())
    assert select.select([sys.stdin], [], [], 20)[0]


class Screen(io.StringIO):
    """Types as soon as it shows something."""

    def __init__(self, keyboard: int, answer: str) -> None:
        super().__init__()
        self._keyboard = keyboard
        self._answer = answer

    def write(self, text: str) -> int:
        if QUESTION in text:
            os.write(self._keyboard, self._answer.encode())
        return super().write(text)


def test_an_enter_typed_ahead_is_no_answer(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    type_ahead(keyboard, '\n')
    screen = Screen(keyboard, 'held\n')
    monkeypatch.setattr(sys, 'stdout', screen)
    assert Terminal().ask(QUESTION) == 'held'
    assert QUESTION in screen.getvalue()


def test_an_enter_typed_ahead_does_not_end_the_watching(keyboard: int) -> None:
    type_ahead(keyboard, '\n')
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            os.write(keyboard, b'\n')

    Terminal().watch(look, lambda: 'picture')
    assert looks >= 3


def test_lines_that_are_not_typed_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'stdin', io.StringIO('c\n\n'))
    terminal = Terminal()
    assert [terminal.ask(QUESTION), terminal.ask(QUESTION)] == ['c', '']
    with pytest.raises(UserError, match='the input has ended'):
        terminal.ask(QUESTION)
