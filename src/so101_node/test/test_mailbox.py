"""A mailbox keeps what came, with the time when it came, and an executor leaves it alone."""

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from so101_node.mailbox import Mailbox
from so101_node.node import Node
from so101_node.topics import TASK

# Three deep, and not latched: what comes before anyone listens is nobody's.
TOPIC = TASK._replace(name='mailbox', qos=QoSProfile(depth=3))


@pytest.fixture
def node() -> Iterator[Node]:
    rclpy.init()
    node = Node('mailbox')
    yield node
    node.destroy_node()
    rclpy.shutdown()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def publish(node: Node, count: int) -> None:
    """Publish '0', '1' ... and return when all of them have arrived."""
    publisher = node.publisher(TOPIC)
    heard: list[str] = []
    witness = Mailbox(node, TOPIC._replace(qos=QoSProfile(depth=100)))
    until(lambda: publisher.get_subscription_count() == 2)
    for number in range(count):
        publisher.publish(String(data=str(number)))

    def all_arrived() -> bool:
        heard.extend(message.data for message, _ in witness.take())
        return len(heard) == count

    until(all_arrived)


def test_everything_is_taken_once_the_oldest_first(node: Node) -> None:
    mailbox = Mailbox(node, TOPIC)
    before = time.time_ns()
    publish(node, 3)
    found: list[tuple[str, int]] = []

    def take() -> bool:
        found.extend((m.data, info['received_timestamp']) for m, info in mailbox.take())
        return len(found) >= 3

    until(take)
    assert [text for text, _ in found] == ['0', '1', '2']
    assert all(before <= received <= time.time_ns() for _, received in found)
    assert not list(mailbox.take())


def test_raw_messages_are_bytes(node: Node) -> None:
    mailbox = Mailbox(node, TOPIC, raw=True)
    publish(node, 1)
    found: list[str] = []

    def take() -> bool:
        found.extend(deserialize_message(data, String).data for data, _ in mailbox.take())
        return bool(found)

    until(take)
    assert found == ['0']
    assert mailbox.name == '/mailbox'


def test_as_many_wait_as_the_topic_is_deep(node: Node) -> None:
    mailbox = Mailbox(node, TOPIC)
    publish(node, 10)
    found: list[str] = []

    def take() -> bool:
        found.extend(message.data for message, _ in mailbox.take())
        return '9' in found

    until(take)
    assert len(found) < 10
    assert found == sorted(found)


def test_an_executor_leaves_it_alone(node: Node) -> None:
    mailbox = Mailbox(node, TOPIC)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publish(node, 1)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.01)
    executor.shutdown()
    until(lambda: [message.data for message, _ in mailbox.take()] == ['0'])
