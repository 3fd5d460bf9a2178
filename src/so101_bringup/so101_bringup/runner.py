"""Runs a wiring's nodes where there is no launch system: starts, watches, stops them together."""

import json
import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import IO, Any

from so101_bringup.wiring import NodeSpec, Setting, executable

# A node has this long to close what it holds: the driver's torque, the recorder's bag.
STOP_TIMEOUT = 15.0

# The runner puts the node's name before each line; the time stands in the log files.
_LOG = {'RCUTILS_CONSOLE_OUTPUT_FORMAT': '[{severity}] {message}'}


@dataclass
class Outcome:
    """How a run ended. `failure` is '' when the last node ended it as it should."""

    failure: str = ''
    signal: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code of the run, as a shell would give it."""
        return 128 + self.signal if self.signal else int(bool(self.failure))


def run(nodes: list[NodeSpec], environment: Mapping[str, str]) -> Outcome:
    """Run nodes until the one that ends the graph ends, one fails, or a signal comes.

    Their output is passed on with their name before each line. No process is left when it returns.
    Raises UserError when an executable is missing.
    """
    commands = {node.label: command(node) for node in nodes}
    events: SimpleQueue[tuple[str, int]] = SimpleQueue()
    before = {
        number: signal.signal(number, lambda number, _: events.put(('', number)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    # The keys node changes it, and cannot change it back after a kill -9.
    terminal = termios.tcgetattr(sys.stdin) if sys.stdin and sys.stdin.isatty() else None
    processes: dict[str, _Process] = {}
    print(f'Starting {", ".join(commands)}; Ctrl-C stops them all', flush=True)
    outcome = Outcome()
    try:
        for node in nodes:
            processes[node.label] = _Process(
                node, commands[node.label], {**_LOG, **os.environ, **environment}, events
            )
        leaving = {node.label for node in nodes if node.may_end}
        name, number = events.get()
        while name in leaving and number == 0:
            name, number = events.get()
        ending = {node.label for node in nodes if node.ends_graph}
        if not name:
            outcome.signal = number
            outcome.failure = f'stopped by {signal.Signals(number).name}'
        elif number or name not in ending:
            outcome.failure = processes[name].epitaph(number)
    finally:
        outcome.codes = _stop(processes)
        if terminal is not None:
            _restore(terminal)
        for number, handler in before.items():
            signal.signal(number, handler)
    bad = {name: code for name, code in outcome.codes.items() if code}
    if bad and not outcome.failure:
        outcome.failure = 'did not stop cleanly: ' + ', '.join(
            f'{name} ({code})' for name, code in bad.items()
        )
    return outcome


def _restore(terminal: list[Any]) -> None:
    """Give the terminal its attributes back, also from the background."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)
    signal.signal(signal.SIGTTOU, before)


def command(node: NodeSpec) -> list[str]:
    """Return the command line of a node. Raises UserError when it is not installed."""
    line = [str(executable(node)), '--ros-args', '--remap', f'__node:={node.name}']
    if node.namespace:
        line += ['--remap', f'__ns:=/{node.namespace}']
    for name, other in node.remappings.items():
        line += ['--remap', f'{name}:={other}']
    for name, value in node.parameters.items():
        line += ['--param', f'{name}:={parameter_text(value)}']
    return [*line, '--', *node.arguments] if node.arguments else line


def parameter_text(value: Setting) -> str:
    """Return a parameter value as YAML that keeps its type: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


class _Process:
    """A child whose output is passed on and whose end is put on a queue."""

    def __init__(
        self,
        node: NodeSpec,
        line: list[str],
        environment: Mapping[str, str],
        events: 'SimpleQueue[tuple[str, int]]',
    ) -> None:
        self.name = node.label
        self._prefix = f'{node.name}: '  # which a node puts before its last words
        self._last_line = ''
        # A session of its own: Ctrl-C in the terminal reaches the runner alone, which then stops
        # the nodes in order, once.
        self.child = subprocess.Popen(
            line,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            start_new_session=True,
        )
        assert self.child.stdout is not None
        self._reader = threading.Thread(
            target=self._pass_on, args=(self.child.stdout, events), daemon=True
        )
        self._reader.start()

    def _pass_on(self, output: IO[str], events: 'SimpleQueue[tuple[str, int]]') -> None:
        for line in output:
            line = line.rstrip()
            if line:
                self._last_line = line
                text = f'{self.name}: {line.removeprefix(self._prefix)}\n'
                try:
                    sys.stdout.write(text)  # in one piece: others write, too
                    sys.stdout.flush()
                except OSError:
                    # Nobody reads any more: as when a terminal is closed. Go on emptying the pipe.
                    events.put(('', signal.SIGHUP))
        events.put((self.name, self.child.wait()))

    def epitaph(self, code: int) -> str:
        """Say how the process ended: killed, or with what it said last."""
        if code < 0:
            return f'{self.name} was killed by {signal.Signals(-code).name}; start again'
        said = self._last_line or f'exit code {code}, without a word'
        if said.startswith(self._prefix):
            return f'{self.name}: {said.removeprefix(self._prefix)}'
        return f'{self.name} ended: {said}'

    def stop(self) -> int:
        """Ask the process to end, kill its whole session if it does not; return its exit code."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            code = self.child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            print(f'{self.name}: did not stop in {STOP_TIMEOUT:.0f} s; killed', file=sys.stderr)
            os.killpg(self.child.pid, signal.SIGKILL)
            code = self.child.wait()
        self._reader.join(1.0)
        return code


def _stop(processes: dict[str, _Process]) -> dict[str, int]:
    """Stop in the reverse order of the start: the driver before the simulated arm it holds."""
    return {name: process.stop() for name, process in reversed(processes.items())}
