"""The keys of a terminal, for a session: nodes have no terminal of their own."""

import os
import select
import termios
import threading
import tty
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.serialization import deserialize_message
from rclpy.task import Future
from std_msgs.msg import String

from so101_episodes.keyboard import Event, Key, Keyboard, Reason
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import (
    DIAGNOSTICS,
    EPISODE_REASON,
    SESSION_AGAIN,
    SESSION_END,
    SESSION_FAIL,
    SESSION_NEXT,
    SESSION_SUCCEED,
)

HELP = (
    'keys: right = next, left = again, s = success, f = failure, Esc = end. After s or f you may '
    'type why, and Enter; of the wrong one, the other letter and Enter.'
)

# Seconds after which an escape alone is the key Esc: that of an arrow comes with the rest of it.
_ESCAPE_TIME = 0.05

# Seconds: a session that was just started is found within.
_SERVICE_TIME = 1.0

_SERVICES = {
    Key.RIGHT: SESSION_NEXT,
    Key.LEFT: SESSION_AGAIN,
    Key.SUCCESS: SESSION_SUCCEED,
    Key.FAILURE: SESSION_FAIL,
    Key.ESCAPE: SESSION_END,
}

_say = partial(print, flush=True)


@dataclass(frozen=True)
class Parameters:
    terminal: str = parameter('', 'Path of the terminal, /dev/pts/3 for one: see tty(1); needed')


class Keys(Node):
    """A thread reads the terminal; what it finds is called and published from there."""

    def __init__(self) -> None:
        super().__init__('keys')
        self._path = declare(self, Parameters).terminal
        if not self._path:
            raise UserError('parameter terminal: give the path of one, such as tty(1) prints')
        self._keyboard = Keyboard()
        self._lock = threading.Lock()  # of the keyboard
        self._echoed = ''  # of the reason that is being typed
        self._running = False  # an episode
        self._session = {key: self.client(service) for key, service in _SERVICES.items()}
        self._reason = self.publisher(EPISODE_REASON)
        self.subscribe(DIAGNOSTICS, self._hear, raw=True)
        self._terminal: int | None = None
        self._before: list[Any] | None = None  # its settings
        self._ending, self._end = os.pipe()  # readable once the end of the other is closed
        self._reader: threading.Thread | None = None

    def open(self) -> None:
        try:
            # Not to become this process's own: Ctrl-C belongs to who started all this.
            self._terminal = os.open(self._path, os.O_RDWR | os.O_NOCTTY)
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal)  # keys at once and without echo; Ctrl-C as ever
        except (OSError, termios.error) as error:
            why = error.args[-1]
            raise UserError(f'parameter terminal: {self._path} is not one: {why}') from error
        print(HELP, flush=True)
        self._reader = threading.Thread(
            target=self._read, args=(self._terminal,), name='keys', daemon=True
        )
        self._reader.start()

    def close(self) -> None:
        os.close(self._end)
        if self._reader is not None:
            self._reader.join(1.0)  # it may be writing to a terminal that is stopped by Ctrl-S
        if self._terminal is not None and self._before is not None:
            with suppress(termios.error):  # it is closed
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)

    def _read(self, terminal: int) -> None:
        while True:
            timeout = _ESCAPE_TIME if self._keyboard.undecided else None
            ready, _, _ = select.select([terminal, self._ending], [], [], timeout)
            if self._ending in ready:
                return
            try:
                data = os.read(terminal, 1024) if ready else None
            except OSError:
                data = b''
            if data == b'':
                _say('the terminal is closed: no more keys; the services session/... go on')
                return
            with self._lock:
                events = self._keyboard.pause() if data is None else self._keyboard.feed(data)
                typed = self._keyboard.typed
            self._echo(terminal, typed)
            for event in events:
                self._take(event)

    def _echo(self, terminal: int, typed: str) -> None:
        """Show what is typed, on a line that others may write to, too."""
        if typed == self._echoed:
            return
        self._echoed = typed
        with suppress(OSError):  # it is closed, as the next look finds
            os.write(terminal, f'\r\x1b[K{f"why: {typed}" if typed else ""}'.encode())

    def _take(self, event: Event) -> None:
        if isinstance(event, Reason):
            self._reason.publish(String(data=event.text))
            _say(f'reason: {event.text}')
            return
        client = self._session[event]
        if client.wait_for_service(_SERVICE_TIME):
            asked = client.call_async(_SERVICES[event].type.Request())
            asked.add_done_callback(self._answered)
        else:
            self._forget()
            _say(f'{event}: {client.srv_name} is not served; start a session')

    def _answered(self, done: Future) -> None:
        if not done.result().success:
            self._forget()
        _say(done.result().message)

    def _hear(self, data: bytes) -> None:
        if b'session/progress' not in data:  # that of the others is not worth the decoding
            return
        for status in deserialize_message(data, DIAGNOSTICS.type).status:
            if status.name == 'session/progress':
                said = {pair.key: pair.value for pair in status.values}
                before, self._running = self._running, said.get('state') == 'running'
                if self._running and not before:
                    self._forget()

    def _forget(self) -> None:
        """What is typed from now on is keys: there is no episode for a reason."""
        with self._lock:
            typed = self._keyboard.typed
            self._keyboard.forget()
        if typed:
            _say(f'too late for a reason: {typed}')


def main() -> None:
    run(Keys)


if __name__ == '__main__':
    main()
