"""A ROS graph for the node tests: a node of the test's own, and nodes under test as processes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from so101_node.node import Node
from so101_node.topics import Service

TIMEOUT = 20.0  # s


class Graph:
    """The test's node, spun by a thread, and the processes that the test started."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node('test')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.node.create_timer(0.1, lambda: None)  # looks again, should a wake-up have been missed
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, module: str, **parameters: Any) -> 'subprocess.Popen[str]':
        arguments = [x for name, value in parameters.items() for x in ('-p', f'{name}:={value}')]
        process = subprocess.Popen(
            [sys.executable, '-m', module, '--ros-args', *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def call(self, service: Service, **request: Any) -> tuple[bool, str]:
        """Call a Trigger or SetBool once it is there; return success and text."""
        client = self.node.client(service)
        assert client.wait_for_service(TIMEOUT), f'{service.name} does not appear'
        answered = threading.Event()
        future = client.call_async(service.type.Request(**request))
        future.add_done_callback(lambda _: answered.set())
        assert answered.wait(TIMEOUT), f'{service.name} does not answer'
        self.node.destroy_client(client)
        return future.result().success, future.result().message

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f'no {what} within {TIMEOUT} s{self._ended()}'
            time.sleep(0.01)

    def _ended(self) -> str:
        """Say which processes have ended, and what they wrote: often why nothing comes."""
        return ''.join(
            f'; {process.args} ended with {process.returncode}: {"".join(process.communicate())}'
            for process in self._processes
            if process.poll() is not None
        )

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    try:
        yield graph
    finally:
        graph.close()
