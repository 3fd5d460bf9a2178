"""A command of a pipeline as a process, as if a person had typed it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from so101_node.lifetime import signal_with_parent

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOMENT, _BEAT = 0.1, 5.0  # s


class Stopped(Exception):
    """A signal, of this number, asked the pipeline to stop, and its command has ended."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(words: Sequence[str], lock: int, beat: Callable[[], object]) -> int:
    """Run a command to its end and return its exit code, -number when a signal ended it.

    `lock`: a file descriptor that it holds open as long as it runs. `beat` is called every few
    seconds. Raises Stopped.
    """
    asked: list[int] = []
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in _SIGNALS}
    try:
        # A session of its own: Ctrl-C in the terminal reaches this process alone, which hands it
        # on, once. And no key of the terminal: a simulation judges by itself.
        child = subprocess.Popen(
            argv(words),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=partial(_begin, os.getpid()),
        )
        handed_on, beats = 0, time.monotonic()
        while (code := _code(child)) is None:
            for number in asked[handed_on:]:
                child.send_signal(number)
                handed_on += 1
            if time.monotonic() > beats + _BEAT:
                beats = time.monotonic()
                beat()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise Stopped(asked[0])
    return code


def _code(child: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code, None when it still runs after a moment."""
    try:
        return child.wait(_MOMENT)
    except subprocess.TimeoutExpired:
        return None


def argv(words: Sequence[str]) -> list[str]:
    """Return how the words are executed here: so101 by this Python."""
    program, *rest = words
    return [sys.executable, '-m', 'so101_bringup', *rest] if program == 'so101' else [*words]


def _begin(parent: int) -> None:
    """End, as if asked to, when the pipeline is killed."""
    signal_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
