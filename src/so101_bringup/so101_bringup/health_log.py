"""What the nodes said on /diagnostics, and when the arm first moved, while a graph ran."""

import threading
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from so101_node.node import Node
from so101_node.stamp import to_nanoseconds
from so101_node.topics import DIAGNOSTICS, REFERENCE

# Radians. Above the encoder's noise, below any motion a person would see.
_MOVED = np.deg2rad(1.0)


class HealthLog:
    """Listens in a thread of its own between `with` and its end.

    `last` is status name -> key -> text, the newest of each; `first_reference_change` is the stamp
    (ns) at which the servos were first told to be more than a degree from where they were.
    """

    def __init__(self) -> None:
        self.last: dict[str, dict[str, str]] = {}
        self.first_reference_change: int | None = None
        self._first: np.ndarray | None = None

    def __enter__(self) -> 'HealthLog':
        # No arguments: those of the command are not ROS's.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node('demo')
        self._node.subscribe(DIAGNOSTICS, self._on_diagnostics)
        self._reference = self._node.subscribe(REFERENCE, self._on_reference)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        rclpy.try_shutdown()
        self._thread.join(2.0)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            self.last[status.name] = {pair.key: pair.value for pair in status.values}

    def _on_reference(self, message: Any) -> None:
        if self.first_reference_change is not None:
            return
        position = np.array(message.position)
        if self._first is None:
            self._first = position
        elif np.abs(position - self._first).max() > _MOVED:
            self.first_reference_change = to_nanoseconds(message.header.stamp)
            self._node.destroy_subscription(self._reference)  # 200 Hz, no longer needed
