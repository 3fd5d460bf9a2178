"""Ctrl-C and SIGTERM: the running step is ended and saved, then the training stops."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """The training was asked to stop, by the signal with this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruption:
    """Hears both signals while it is entered.

    Before `wait` is set it raises Interrupted at once. Then the first signal only sets `asked`,
    and calls `on_ask`; the second raises.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, on_ask: Callable[[], None]) -> None:
        self.wait = False
        self.asked: int | None = None
        self._on_ask = on_ask
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hear) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if not self.wait or self.asked is not None:
            raise Interrupted(number)
        self.asked = number
        self._on_ask()


def held_back[T](action: Callable[[], T]) -> T:
    """Do it with Ctrl-C held back until it is done, for good in the processes that it starts.

    So a terminal's Ctrl-C does not end the loader's workers in the middle of a step.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return action()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
