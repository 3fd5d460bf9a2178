"""A robot and an inference on two hosts: network namespaces, and a link that delays and loses."""

import contextlib
import fcntl
import heapq
import json
import os
import queue
import random
import select
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from so101_node import dds
from so101_node.lifetime import END_WITH_PARENT

ROBOT, GPU = '10.99.0.1', '10.99.0.2'

# Asks without end, and gives up what has no answer for 3 s, as the policy node's watchdog
# does. Prints each event with its time. Noise: the largest images there are.
ROBOT_PROGRAM = """
    import json, time
    import numpy as np
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from so101_description.cameras import CAMERAS, IMAGE_SHAPE
    from so101_node.node import Node
    from so101_policy.inference import InferenceEnded, Warm
    from so101_policy.observation import Observation
    from so101_policy.remote_inference import RemoteInference

    def tell(event, **values):
        print(json.dumps({'event': event, **values}), flush=True)

    pixels = np.random.default_rng(0).integers(0, 100, IMAGE_SHAPE, np.uint8)
    observation = Observation(dict.fromkeys(CAMERAS, pixels), np.zeros(6), captured=0)
    rclpy.init()
    node = Node('robot')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    remote = RemoteInference(node, lambda: None)
    warm, asked = False, 0.0
    while True:
        executor.spin_once(timeout_sec=0.02)
        try:
            while answer := remote.poll():
                if isinstance(answer, Warm):
                    warm = True
                    tell('warm')
                else:
                    took = time.monotonic() - asked
                    tell('chunk', shape=answer.actions.shape, took=took, inferred=answer.seconds,
                         bytes=remote.request_bytes, measured=list(remote.round_trip)[-1])
        except InferenceEnded as error:
            tell('ended', reason=str(error))
            warm = False
            remote.restart()
        if remote.busy and time.monotonic() - asked > 3.0:
            tell('silent')
            warm = False
            remote.restart()
        if warm and not remote.busy:
            asked = time.monotonic()
            remote.ask(observation, 'put it in the bowl')
"""


class Host:
    """A namespace with one network interface and shared memory of its own.

    It has no name, and is gone with the process that holds it and those that run in it.
    """

    def __init__(self, address: str) -> None:
        self.started: list[subprocess.Popen[str]] = []
        script = 'mount -t tmpfs shm /dev/shm && ip link set lo up && echo ready && exec cat'
        self._holder = subprocess.Popen(
            ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-c', script],
            stdin=subprocess.PIPE,  # its end ends cat, also when these tests are killed
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != 'ready\n':
            raise OSError(self._holder.communicate()[1].strip())
        try:
            self.wire = self._open_wire()
        except OSError:
            self._end()
            raise
        self.ip('addr', 'add', f'{address}/24', 'dev', 'link0')
        self.ip('link', 'set', 'link0', 'up')

    def ip(self, *arguments: str) -> None:
        subprocess.run(self._inside('ip', *arguments), check=True, timeout=20)

    def start(self, *command: str, peer: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **dds.profile(),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_STATIC_PEERS': peer,
            END_WITH_PARENT: str(os.getpid()),
        }
        process = subprocess.Popen(
            self._inside(*command), env=environment, stdout=subprocess.PIPE, text=True
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        self._end()
        os.close(self.wire)

    def _end(self) -> None:
        for process in [*self.started, self._holder]:
            process.kill()
            process.communicate()

    def _inside(self, *command: str) -> list[str]:
        return ['nsenter', f'--target={self._holder.pid}', '--net', '--mount', *command]

    def _open_wire(self) -> int:
        """Return a descriptor that reads what the host's interface sends, frame by frame."""

        def open_inside() -> int:
            with Path(f'/proc/{self._holder.pid}/ns/net').open() as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)
            wire = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
            # From linux/if_tun.h: TUNSETIFF with IFF_TAP and IFF_NO_PI.
            fcntl.ioctl(wire, 0x400454CA, struct.pack('16sH22x', b'link0', 0x1002))
            return wire

        # In a thread, for it is the thread that enters the namespace.
        with ThreadPoolExecutor(1) as inside:
            return inside.submit(open_inside).result()


class Link(threading.Thread):
    """Carries frames between two hosts: each is lost, or comes after `delay` +- `jitter`."""

    def __init__(self, a: Host, b: Host, delay: float, jitter: float, loss: float) -> None:
        super().__init__(daemon=True)
        self.lost = 0
        self._other = {a.wire: b.wire, b.wire: a.wire}
        self._delays = delay - jitter, delay + jitter
        self._loss = loss
        self._ended = False
        self.start()

    def run(self) -> None:
        chance = random.Random(0)
        under_way: list[tuple[float, int, int, bytes]] = []  # due, number, to, frame
        number = 0
        while not self._ended:
            wait = under_way[0][0] - time.monotonic() if under_way else 0.1
            for wire in select.select(list(self._other), [], [], max(0.0, min(wait, 0.1)))[0]:
                with contextlib.suppress(BlockingIOError):
                    while frame := os.read(wire, 1 << 16):
                        number += 1
                        if chance.random() < self._loss:
                            self.lost += 1
                            continue
                        due = time.monotonic() + chance.uniform(*self._delays)
                        heapq.heappush(under_way, (due, number, self._other[wire], frame))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, wire, frame = heapq.heappop(under_way)
                with contextlib.suppress(OSError):  # that interface is down
                    os.write(wire, frame)

    def close(self) -> None:
        self._ended = True
        self.join()


class Hosts:
    """The inference on one, the robot's side on the other, and what the robot tells."""

    def __init__(self, robot: Host, gpu: Host, link: Link, checkpoint: Path) -> None:
        self.robot, self.gpu, self.link = robot, gpu, link
        self._checkpoint = checkpoint
        self.serve()
        asking = robot.start(sys.executable, '-c', textwrap.dedent(ROBOT_PROGRAM), peer=GPU)
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        assert asking.stdout is not None
        threading.Thread(target=self._read, args=(asking.stdout,), daemon=True).start()

    def serve(self) -> subprocess.Popen[str]:
        arguments = ('--ros-args', '-p', f'checkpoint:={self._checkpoint}', '-p', 'threads:=1')
        command = (sys.executable, '-m', 'so101_policy.inference_node', *arguments)
        return self.gpu.start(*command, peer=ROBOT)

    def until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> Any:
        """Return the first event that is wanted."""
        deadline = time.monotonic() + seconds
        while not wanted(event := self._told.get(timeout=max(0.0, deadline - time.monotonic()))):
            pass
        return event

    def chunks(self, count: int) -> list[dict[str, Any]]:
        return [self.until(lambda event: event['event'] == 'chunk') for _ in range(count)]

    def forget(self) -> None:
        """Drop what was told until now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._told.get_nowait()

    def _read(self, lines: Any) -> None:
        for line in lines:
            self._told.put(json.loads(line))


@pytest.fixture
def hosts(smolvla: Path) -> Iterator[Hosts]:
    with contextlib.ExitStack() as stack:
        try:
            robot, gpu = (
                stack.enter_context(contextlib.closing(Host(address))) for address in (ROBOT, GPU)
            )
        except OSError as error:
            pytest.skip(f'network namespaces need root: {error}')
        link = stack.enter_context(contextlib.closing(Link(robot, gpu, 0.04, 0.015, 0.02)))
        yield Hosts(robot, gpu, link, smolvla)
        # Processes before what they run in; the link before the wires it reads.
        for process in [*robot.started, *gpu.started]:
            process.kill()


def test_chunks_flow_over_a_link_that_delays_and_loses(hosts: Hosts) -> None:
    chunks = hosts.chunks(10)
    for chunk in chunks:
        assert chunk['shape'] == [50, 6]
        assert chunk['bytes'] > 100_000
        # What the robot measures holds the inference and both ways, and is its own clock's.
        assert chunk['inferred'] + 2 * 0.025 < chunk['measured'] <= chunk['took']
    assert hosts.link.lost > 0


def test_after_a_cut_the_robot_is_served_again_by_itself(hosts: Hosts) -> None:
    hosts.chunks(2)
    hosts.gpu.ip('link', 'set', 'link0', 'down')
    hosts.until(lambda event: event['event'] == 'silent')
    hosts.forget()
    with pytest.raises(queue.Empty):  # nothing comes through for the length of the cut
        hosts.until(lambda event: event['event'] in ('chunk', 'warm'), seconds=2.0)
    hosts.gpu.ip('link', 'set', 'link0', 'up')
    hosts.chunks(3)


def test_after_the_inference_node_was_killed_another_one_takes_over(hosts: Hosts) -> None:
    hosts.chunks(1)
    [node] = hosts.gpu.started
    node.kill()
    hosts.until(lambda event: event['event'] == 'silent')
    hosts.serve()
    hosts.until(lambda event: event['event'] == 'warm')
    hosts.chunks(2)
