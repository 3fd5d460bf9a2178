"""The keys node on a terminal that the test types on, with a session that the test plays."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from so101_episodes.keys_node import HELP
from so101_node.error import UserError
from so101_node.topics import (
    DIAGNOSTICS,
    EPISODE_REASON,
    SESSION_AGAIN,
    SESSION_END,
    SESSION_FAIL,
    SESSION_NEXT,
    SESSION_SUCCEED,
)

MODULE = 'so101_episodes.keys_node'
SERVICES = (SESSION_NEXT, SESSION_AGAIN, SESSION_SUCCEED, SESSION_FAIL, SESSION_END)


class Desk:
    """A terminal, the keys node on it, and the session that it calls."""

    def __init__(self, graph: Any) -> None:
        self.calls: list[str] = []
        self.reasons: list[str] = []
        self.refusal = ''
        self.screen = b''
        self.keyboard, self.terminal = pty.openpty()
        self.before = termios.tcgetattr(self.terminal)
        self._graph = graph
        for service in SERVICES:
            graph.node.serve(service, lambda _, name=service.name: self._answer(name))
        graph.node.subscribe(EPISODE_REASON, lambda message: self.reasons.append(message.data))
        self._health = graph.node.publisher(DIAGNOSTICS)
        self.process: subprocess.Popen[str] = graph.start(
            MODULE, terminal=os.ttyname(self.terminal)
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f'{HELP}\n'
        graph.wait_for(lambda: self._health.get_subscription_count() > 0, 'keys node')

    def _answer(self, name: str) -> tuple[bool, str]:
        self.calls.append(name)
        if self.refusal:
            raise UserError(self.refusal)
        return True, 'episode 1 of 5 ends'

    def type(self, data: bytes) -> None:
        os.write(self.keyboard, data)

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def called(self, *names: str) -> None:
        self._graph.wait_for(lambda: self.calls == list(names), f'{names}, but {self.calls}')

    def shows(self, end: bytes) -> bool:
        """Return whether what the node wrote on the terminal so far ends so."""
        while select.select([self.keyboard], [], [], 0)[0]:
            self.screen += os.read(self.keyboard, 1024)
        return self.screen.endswith(end)

    def tell(self, state: str) -> None:
        values = [KeyValue(key='state', value=state)]
        status = DiagnosticStatus(name='session/progress', values=values)
        self._health.publish(DiagnosticArray(status=[status]))

    def close(self) -> None:
        for descriptor in (self.keyboard, self.terminal):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def desk(graph: Any) -> Iterator[Desk]:
    desk = Desk(graph)
    try:
        yield desk
    finally:
        desk.close()


def test_each_key_calls_its_service_and_its_answer_is_said(desk: Desk) -> None:
    expected = []
    for key, service in (
        (b'\x1b[C', SESSION_NEXT),
        (b'\x1b[D', SESSION_AGAIN),
        (b's', SESSION_SUCCEED),
        (b'\n', None),
        (b'f', SESSION_FAIL),
        (b'\x1b', SESSION_END),
    ):
        desk.type(key)
        if service is not None:
            expected.append(service.name)
            desk.called(*expected)
            assert desk.said() == 'episode 1 of 5 ends'


def test_what_is_typed_after_a_label_is_published_as_the_reason(graph: Any, desk: Desk) -> None:
    desk.type(b'f')
    desk.called('session/fail')
    desk.type(b'slipped')
    graph.wait_for(lambda: desk.shows(b'why: slipped'), 'echo')
    desk.type(b'\n')
    graph.wait_for(lambda: desk.reasons == ['slipped'], 'reason')
    assert desk.calls == ['session/fail']


def test_once_the_next_episode_runs_letters_are_keys_again(graph: Any, desk: Desk) -> None:
    desk.type(b's')
    desk.called('session/succeed')
    assert desk.said() == 'episode 1 of 5 ends'
    desk.type(b'too sl')
    graph.wait_for(lambda: desk.shows(b'why: too sl'), 'echo')
    desk.tell('homing')
    desk.tell('running')
    assert desk.said() == 'too late for a reason: too sl'
    desk.type(b'f')
    desk.called('session/succeed', 'session/fail')
    assert desk.reasons == []


def test_a_label_that_is_refused_has_no_reason(desk: Desk) -> None:
    desk.refusal = 'no episode has ended yet'
    desk.type(b's')
    assert desk.said() == 'no episode has ended yet'
    desk.type(b'f')
    assert desk.said() == 'no episode has ended yet'
    assert desk.calls == ['session/succeed', 'session/fail']


def test_the_terminal_is_as_before_at_the_end_and_no_key_is_echoed(desk: Desk) -> None:
    meanwhile = termios.tcgetattr(desk.terminal)
    assert not meanwhile[3] & (termios.ECHO | termios.ICANON)
    assert meanwhile[3] & termios.ISIG  # Ctrl-C stops whoever started all this
    desk.type(b'\x1b[C')
    desk.called('session/next')
    desk.shows(b'')
    assert desk.screen == b''
    desk.process.send_signal(signal.SIGINT)
    _, error = desk.process.communicate(timeout=10)
    assert (desk.process.returncode, error) == (0, '')
    assert termios.tcgetattr(desk.terminal) == desk.before


def test_a_terminal_that_is_closed_ends_the_keys_not_the_node(desk: Desk) -> None:
    os.close(desk.keyboard)
    desk.keyboard = -1
    assert desk.said() == ('the terminal is closed: no more keys; the services session/... go on')
    desk.process.send_signal(signal.SIGTERM)
    _, error = desk.process.communicate(timeout=10)
    assert (desk.process.returncode, error) == (0, '')


@pytest.mark.alone
def test_without_a_session_a_key_says_so(graph: Any) -> None:
    keyboard, terminal = pty.openpty()
    process = graph.start(MODULE, terminal=os.ttyname(terminal))
    process.stdout.readline()
    os.write(keyboard, b's')
    assert process.stdout.readline() == 's: session/succeed is not served; start a session\n'
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert time.monotonic() - began < 2.0
    os.close(keyboard)
    os.close(terminal)


@pytest.mark.parametrize(
    ('path', 'why'),
    [
        ('""', 'parameter terminal: give the path of one, such as tty(1) prints'),
        ('/dev/null', 'parameter terminal: /dev/null is not one: Inappropriate ioctl for device'),
        ('/dev/pts/none', 'parameter terminal: /dev/pts/none is not one: No such file or'),
    ],
)
def test_what_is_no_terminal_is_refused(graph: Any, path: str, why: str) -> None:
    process = graph.start(MODULE, terminal=path)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert why in error
