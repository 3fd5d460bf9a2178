"""The so101 command: one name for everything a person runs."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from so101_bringup import runner
from so101_bringup.graphs import WIRINGS
from so101_bringup.wiring import Value, Wiring, environment
from so101_node.error import UserError

USAGE = 'usage: so101 COMMAND [ARGUMENT:=VALUE ...]   so101 COMMAND --show-args'

# What is no graph of nodes takes --options. Modules with a DESCRIPTION and a main, imported when
# they are asked for: together they take seconds.
TOOLS = {
    'robot': 'so101_bringup.doctor.robot_command',
    'udev': 'so101_bringup.doctor.udev_command',
    'doctor': 'so101_bringup.doctor.command',
    'setup_motors': 'so101_driver.setup_motors',
    'calibrate': 'so101_driver.calibrate',
    'report': 'so101_evaluation.report_command',
    'compare': 'so101_evaluation.compare_command',
    'video': 'so101_view.video',
    'salvage': 'so101_episodes.salvage',
    'lockstep': 'so101_evaluation.lockstep',
    'open_loop': 'so101_evaluation.open_loop',
    'convert': 'so101_training.convert',
    'check': 'so101_training.check',
    'train': 'so101_training.train',
    'pipeline': 'so101_bringup.pipeline.command',
}

_TOOL_USAGE = f'{", ".join(TOOLS)} take --options instead: so101 COMMAND --help'

NAMES = (*WIRINGS, 'demo', *TOOLS)

_Command = Callable[[Sequence[str]], int]


def main() -> None:
    try:
        sys.exit(run(sys.argv[1:]))
    except UserError as error:
        print(f'so101: {error}', file=sys.stderr)
        sys.exit(1)


def run(words: Sequence[str]) -> int:
    """Run one command; return its exit code. Raises UserError."""
    if not words or words[0] in ('-h', '--help', 'list'):
        print(USAGE)
        for name in NAMES:
            print(f'  {name:12} {description(name)}')
        print(_TOOL_USAGE)
        return 0
    if words[0] not in NAMES:
        raise UserError(f'unknown command {words[0]}; known: {", ".join(NAMES)}')
    return _command(words[0])[1](words[1:])


def description(name: str) -> str:
    """Return what a command does, in words."""
    return _command(name)[0]


def _command(name: str) -> tuple[str, _Command]:
    """Return what a command does, in words and as a function."""
    if name in TOOLS:
        tool = import_module(TOOLS[name])
        return tool.DESCRIPTION, _with_options(tool.main)
    if name in WIRINGS:
        wiring = WIRINGS[name]
        return wiring.description, _with_arguments(wiring, _run_graph(wiring))
    from so101_bringup import demo

    return demo.WIRING.description, _with_arguments(demo.WIRING, demo.main)


def _with_arguments(wiring: Wiring, run: Callable[[Mapping[str, Value]], int]) -> _Command:
    def command(words: Sequence[str]) -> int:
        if '--show-args' in words or '-s' in words:
            print(show_arguments(wiring))
            return 0
        return run(wiring.values(parse(words)))

    return command


def _with_options(tool: Callable[[Sequence[str]], None]) -> _Command:
    def command(words: Sequence[str]) -> int:
        tool(words)
        return 0

    return command


def _run_graph(wiring: Wiring) -> Callable[[Mapping[str, Value]], int]:
    def run(values: Mapping[str, Value]) -> int:
        outcome = runner.run(wiring.nodes(values), environment())
        if outcome.failure:
            print(f'so101 {wiring.name}: {outcome.failure}', file=sys.stderr)
        return outcome.code

    return run


def parse(words: Sequence[str]) -> dict[str, str]:
    """Return name -> text of `name:=text` words. Raises UserError for any other word."""
    given = {}
    for word in words:
        name, separator, text = word.partition(':=')
        if not separator or not name:
            raise UserError(f'{word!r} is not of the form name:=value; {USAGE}')
        given[name] = text
    return given


def show_arguments(wiring: Wiring) -> str:
    """Return the arguments as `ros2 launch --show-args` shows them."""
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in wiring.arguments:
        simulated = argument.in_simulation_text
        lines += [
            '',
            f"    '{argument.name}':",
            f'        {argument.description}',
            f"        (default: '{argument.default_text}'"
            + (f", with sim: '{simulated}')" if simulated else ')'),
        ]
    return '\n'.join(lines)
