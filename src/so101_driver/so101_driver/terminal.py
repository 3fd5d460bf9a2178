"""The person in front of the arm: text out, lines in."""

import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live

from so101_node.error import UserError

# Seconds between two looks, so that no end of a quick movement is missed, and two pictures.
_LOOK_PERIOD = 0.005
_PICTURE_PERIOD = 0.1


class Terminal:
    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True)

    def say(self, text: RenderableType = '') -> None:
        self._console.print(text)

    def ask(self, text: str) -> str:
        """Return the line that the person types; raises UserError when the input has ended.

        What was typed before the question was there to be read is no answer to it.
        """
        _forget_early_keys()
        self._console.print(text, end=' ')
        return _line()

    def watch(self, look: Callable[[], None], picture: Callable[[], RenderableType]) -> None:
        """Call `look` again and again until Enter; show what `picture` returns now and then."""
        _forget_early_keys()
        with Live(picture(), console=self._console, auto_refresh=False) as live:
            shown = time.monotonic()
            while not select.select([sys.stdin], [], [], _LOOK_PERIOD)[0]:
                look()
                if time.monotonic() - shown >= _PICTURE_PERIOD:
                    live.update(picture(), refresh=True)
                    shown = time.monotonic()
        _line()


def _forget_early_keys() -> None:
    """Drop what waits to be read on a terminal; a file or a pipe keeps its lines."""
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise UserError('the input has ended: run this in a terminal, where it can ask')
    return line.strip()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C, and requests to end, wait until this is left. For the main thread."""
    late: list[int] = []
    earlier = {
        number: signal.signal(number, lambda number, _: late.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    for pending in late:
        signal.raise_signal(pending)
