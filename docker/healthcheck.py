"""Whether the graph in this container is well: exit code 0, or 1 and a line that says what is not.

Well is: somebody speaks on /diagnostics, and nobody reports an error. A node speaks once a second.
"""

import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray

from so101_node.diagnostics import Level
from so101_node.node import Node
from so101_node.topics import DIAGNOSTICS

# Seconds: to find the nodes, and then to hear each of them.
DISCOVERY = 10.0
LISTEN = 2.5


def main() -> int:
    rclpy.init()
    node = Node('healthcheck')
    levels: dict[str, tuple[int, str]] = {}
    heard: list[float] = []

    def on_diagnostics(message: DiagnosticArray) -> None:
        heard.append(time.monotonic())
        for status in message.status:
            levels[status.name] = (status.level[0], status.message)

    node.create_subscription(DIAGNOSTICS.type, DIAGNOSTICS.name, on_diagnostics, DIAGNOSTICS.qos)
    silence_ends = time.monotonic() + DISCOVERY
    while time.monotonic() < (heard[0] + LISTEN if heard else silence_ends):
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.try_shutdown()
    errors = [f'{name}: {text}' for name, (level, text) in levels.items() if level >= Level.ERROR]
    if not levels:
        errors = [f'nothing on {DIAGNOSTICS.name} for {DISCOVERY:g} s']
    print('; '.join(errors) or f'{len(levels)} statuses, none of them an error')
    return int(bool(errors))


if __name__ == '__main__':
    sys.exit(main())
