"""A node's health on /diagnostics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration

from so101_node.node import Node
from so101_node.topics import DIAGNOSTICS

_FAREWELL = 1.0  # s


class Level(IntEnum):
    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Status:
    """One thing's health. `name` is `<node>/<thing>`; floats are shown with four digits.

    The name is published behind the node's namespace: a leader's driver says leader/driver/arm.
    """

    name: str
    level: Level
    message: str
    values: Mapping[str, str | float | int | bool] = field(default_factory=dict)


class Diagnostics:
    """Publishes what `statuses` returns once a second, each status with a running number.

    The number (`sequence`) tells a reader of a bag whether one is missing: /diagnostics has many
    publishers, so the middleware's own numbering cannot.
    """

    def __init__(self, node: Node, statuses: Callable[[], list[Status]]) -> None:
        self._node = node
        self._statuses = statuses
        self._publisher = node.publisher(DIAGNOSTICS)
        namespace = node.get_namespace().strip('/')
        self._prefix = f'{namespace}/' if namespace else ''
        self._sequence = 0
        node.create_timer(1.0, self.publish)

    def publish(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [
            _message(status, self._prefix, self._sequence) for status in self._statuses()
        ]
        self._sequence += 1
        self._publisher.publish(message)

    def farewell(self) -> None:
        """Publish for the last time, and wait until everybody has it: a second at most."""
        self.publish()
        self._publisher.wait_for_all_acked(Duration(seconds=_FAREWELL))


def _message(status: Status, prefix: str, sequence: int) -> DiagnosticStatus:
    values = {**status.values, 'sequence': sequence}
    return DiagnosticStatus(
        level=bytes([status.level]),
        name=prefix + status.name,
        message=status.message,
        hardware_id='so101',
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def _text(value: str | float | int | bool) -> str:
    return f'{value:.4f}' if isinstance(value, float) else str(value)
