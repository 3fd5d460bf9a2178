"""Prompts said aloud, where the machine has a program that speaks."""

import shutil
import subprocess
from collections.abc import Callable, Sequence

# The first of them that is there. spd-say hands on to a service that has a queue: -C empties it.
_PROGRAMS = (('spd-say', '-C'), ('espeak-ng',), ('espeak',))


class Voice:
    """Says one text at a time: a newer one cuts off the last. Nobody waits for it.

    The last is said to its end, also after this process's.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        """Tell `warn` once when nothing can be said, now or later."""
        self._warn = warn
        self._command = _command()
        self._speaking: subprocess.Popen[bytes] | None = None
        if not self._command:
            warn(
                f'no voice: none of {", ".join(name for name, *_ in _PROGRAMS)} is installed; '
                'prompts are only printed'
            )

    def say(self, text: str) -> None:
        self._hush()
        if not self._command:
            return
        try:
            self._speaking = subprocess.Popen(
                [*self._command, '--', text],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _hush(self) -> None:
        speaking, self._speaking = self._speaking, None
        if speaking is None:
            return
        speaking.terminate()  # does nothing to one that has ended
        if (code := speaking.wait()) > 0:
            self._give_up(f'exit code {code}')

    def _give_up(self, why: str) -> None:
        self._warn(f'no voice: {self._command[0]}: {why}; prompts are only printed')
        self._command = ()


def _command() -> Sequence[str]:
    return next((program for program in _PROGRAMS if shutil.which(program[0])), ())
