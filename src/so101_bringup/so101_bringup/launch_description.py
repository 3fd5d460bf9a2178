"""A wiring as a launch description, for `ros2 launch`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from so101_bringup.wiring import NodeSpec, Setting, Wiring, environment
from so101_node.error import UserError


def launch_description(wiring: Wiring) -> LaunchDescription:
    """Return the description of a wiring: its arguments, its environment, its nodes.

    When a node fails, all are stopped and `ros2 launch` exits with code 1; when the one that ends
    the graph has ended, all are stopped and it exits with code 0.
    """
    given: dict[str, str] = {}

    def remember(context: LaunchContext) -> None:
        """Take what was given before the defaults are: that goes before the robot file."""
        said = context.launch_configurations
        given.update(
            {each.name: said[each.name] for each in wiring.arguments if each.name in said}
        )

    return LaunchDescription(
        [
            OpaqueFunction(function=remember),
            *(
                DeclareLaunchArgument(
                    argument.name,
                    default_value=argument.default_text,
                    description=argument.description,
                )
                for argument in wiring.arguments
            ),
            *(SetEnvironmentVariable(name, text) for name, text in environment().items()),
            OpaqueFunction(function=_nodes, args=[wiring, given]),
        ]
    )


def _nodes(
    context: LaunchContext, wiring: Wiring, given: Mapping[str, str]
) -> list[RegisterEventHandler | Node]:
    # The launch system takes unknown arguments without a word. Only the command line is checked,
    # and only where it names this file: a file that includes it has arguments of its own.
    if any(Path(word).name == f'{wiring.name}.launch.py' for word in sys.argv):
        given = {**given, **dict(word.split(':=', 1) for word in context.argv if ':=' in word)}
    actions: list[RegisterEventHandler | Node] = []
    for spec in wiring.nodes(wiring.values(given)):
        node = Node(
            package=spec.package,
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace or None,
            remappings=list(spec.remappings.items()),
            arguments=list(spec.arguments),
            # With its type said: text that looks like a number stays text.
            parameters=[
                {
                    name: ParameterValue(value, value_type=_type(value))
                    for name, value in spec.parameters.items()
                }
            ],
            output='screen',
        )
        actions += [
            RegisterEventHandler(OnProcessExit(target_action=node, on_exit=_ended(spec))),
            node,
        ]
    return actions


def _type(value: Setting) -> Any:
    """Return the type of a parameter; a list without anything in it is one of texts."""
    if not isinstance(value, list):
        return type(value)
    return list[float] if any(isinstance(each, float) for each in value) else list[str]


def _ended(spec: NodeSpec):  # type: ignore[no-untyped-def]
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Shutdown]:
        if context.is_shutdown or (spec.may_end and event.returncode == 0):
            return []
        if spec.ends_graph and event.returncode == 0:
            return [Shutdown(reason=f'{spec.label} is done')]
        # An exception is the one way to have `ros2 launch` exit with a code other than 0.
        raise UserError(f'{spec.label} ended with code {event.returncode}; its last line says why')

    return on_exit
