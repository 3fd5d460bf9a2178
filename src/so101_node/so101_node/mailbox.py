"""A subscription that calls nobody: its messages wait in the middleware until they are taken.

Of what a small message costs a Python node, most is the executor's round for it. Who looks now and
then, and takes all that came, pays for one round. Each message tells all the same when it arrived.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup

from so101_node.node import Node
from so101_node.topics import Topic


class Mailbox:
    """The messages of one topic; at most as many wait as its QoS is deep, the oldest go first."""

    def __init__(self, node: Node, topic: Topic, raw: bool = False) -> None:
        """`raw`: messages are taken as bytes, serialized."""
        self._node = node
        self._subscription = node.create_subscription(
            topic.type,
            topic.name,
            lambda _: None,
            topic.qos,
            callback_group=_Uncalled(),
            raw=raw,
        )
        self.name: str = self._subscription.topic_name  # the topic's, in full

    def take(self) -> Iterator[tuple[Any, Mapping[str, Any]]]:
        """Yield each message that waits with its info, see Reception; the oldest first."""
        subscription = self._subscription
        handle = subscription.handle
        with handle:
            while taken := handle.take_message(subscription.msg_type, subscription.raw):
                yield taken

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


class _Uncalled(CallbackGroup):
    """What an executor neither waits for nor calls."""

    def can_execute(self, _: Any) -> bool:
        return False

    def beginning_execution(self, _: Any) -> bool:
        return False

    def ending_execution(self, _: Any) -> None:
        pass
