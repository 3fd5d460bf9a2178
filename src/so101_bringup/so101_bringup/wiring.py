"""What a wiring is: launch arguments, and the nodes that they lead to. Which there are: graphs.py.

The launch files and the `so101` command both read it. It imports neither torch nor
LeRobot: on a robot PC the launch system reads it with the system's Python.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)

from so101_node import dds, robot_file
from so101_node.error import UserError
from so101_node.lifetime import END_WITH_PARENT
from so101_node.robot_file import Robot

Value = bool | int | float | str
Setting = Value | list[str] | list[float]  # of a parameter


@dataclass(frozen=True)
class Argument:
    """A launch argument; its text is converted to the type of `default`.

    `key` is where it stands in the robot file, '' of one that does not: what the file says there
    is then in place of the default. A yes or no there says whether the robot has it.
    `in_simulation`: the default with sim:=true, where it is another one.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    key: str = ''
    in_simulation: Value | None = None

    @property
    def default_text(self) -> str:
        return _text(self.default)

    @property
    def in_simulation_text(self) -> str:
        """Return '' where the default is the same."""
        return '' if self.in_simulation is None else _text(self.in_simulation)

    def value(self, text: str) -> Value:
        """Convert and check what the user wrote. Raises UserError."""
        if isinstance(self.default, bool):
            if text.lower() not in ('true', 'false'):
                raise UserError(f'{self.name}:={text}: expected true or false')
            return text.lower() == 'true'
        if self.choices and text not in self.choices:
            raise UserError(f'{self.name}:={text}: expected {" or ".join(self.choices)}')
        if isinstance(self.default, str):
            return str(Path(text).expanduser()) if text.startswith('~') else text
        try:
            value = type(self.default)(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            kind = 'a whole number' if isinstance(self.default, int) else 'a number'
            raise UserError(f'{self.name}:={text}: expected {kind}')
        if self.low is not None and value < self.low:
            raise UserError(f'{self.name}:={text}: expected at least {self.low:g}')
        if self.high is not None and value > self.high:
            raise UserError(f'{self.name}:={text}: expected at most {self.high:g}')
        return value

    def said(self, robot: Robot) -> Value:
        """Return what the robot file says at `key`; the default of a camera that it lacks."""
        found = robot.at(self.key)
        if isinstance(self.default, bool):
            return found is not None
        return self.default if found is None else found


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def of_robot(name: str, key: str) -> Argument:
    """Return the argument that stands at `key` in the robot file, as it is described there."""
    section, _, last = key.rpartition('.')
    said = next(each for each in fields(Robot().at(section)) if each.name == last)
    default: Any = said.default
    return Argument(name, default, key=key, **said.metadata)


ROBOT = Argument(
    'robot', '', 'robot file; empty: that which SO101_ROBOT names, or ./robot.yaml if it exists'
)


@dataclass(frozen=True)
class NodeSpec:
    """One process. The end of the node with `ends_graph` ends all the others.

    Nodes are started in their order and stopped in the reverse one: first what moves the arm, last
    what the arm hangs on (by the runner; `ros2 launch` stops all at once). `namespace` is '' or a
    name, such as 'leader'; `arguments` are words of the command line that are not ROS's. One that
    `may_end`, a window for instance, ends nothing else by ending well.
    """

    package: str
    executable: str
    name: str
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    ends_graph: bool = False
    namespace: str = ''
    remappings: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    may_end: bool = False

    @property
    def label(self) -> str:
        """The node's name with its namespace: unique in a graph."""
        return f'{self.namespace}/{self.name}' if self.namespace else self.name


@dataclass(frozen=True)
class Wiring:
    """Arguments, and the nodes that they lead to."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    nodes: Callable[[Mapping[str, Value]], list[NodeSpec]]

    def values(self, given: Mapping[str, str]) -> dict[str, Value]:
        """Return the value of every argument: as given, as in the robot file, or its default.

        Raises UserError for an unknown or wrong argument, and for a wrong robot file.
        """
        unknown = set(given) - {argument.name for argument in self.arguments}
        if unknown:
            known = ', '.join(argument.name for argument in self.arguments)
            raise UserError(f'unknown argument {", ".join(sorted(unknown))}; known: {known}')
        values = {
            argument.name: argument.value(given.get(argument.name, argument.default_text))
            for argument in self.arguments
        }
        if ROBOT in self.arguments:
            robot = robot_file.load(str(values[ROBOT.name]))
            for argument in self.arguments:
                if argument.key and argument.name not in given and robot.path is not None:
                    values[argument.name] = argument.said(robot)
        if values.get('sim'):
            for argument in self.arguments:
                if argument.in_simulation is not None and argument.name not in given:
                    values[argument.name] = argument.in_simulation
        return values


def executable(node: NodeSpec) -> Path:
    """Return the path of a node's program. Raises UserError when it is not installed."""
    try:
        prefix = Path(get_package_prefix(node.package))
    except PackageNotFoundError:
        release = os.environ.get('ROS_DISTRO', 'jazzy')
        how = (
            'build the workspace'
            if node.package.startswith('so101_')
            else f'sudo apt install ros-{release}-{node.package.replace("_", "-")}'
        )
        raise UserError(f'package {node.package} is not installed; {how}') from None
    program = prefix / 'lib' / node.package / node.executable
    if not program.is_file():
        raise UserError(f'{program} does not exist; build the workspace')
    return program


def environment() -> dict[str, str]:
    """Return what the nodes that this process starts need in their environment.

    What the user has set stays; sourcing the workspace sets the same (so101_node/hook).
    """
    needed = {**dds.profile(), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    missing = {name: text for name, text in needed.items() if name not in os.environ}
    return {**missing, END_WITH_PARENT: str(os.getpid())}


def share(package: str) -> Path:
    return Path(get_package_share_directory(package))
