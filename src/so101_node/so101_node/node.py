"""The base of every node, and the main() of every executable: clean exits on every way out."""

import gc
import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakSet

import rclpy
import rclpy.node
from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.publisher import Publisher
from rclpy.service import Service as RosService
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.timer import Timer

from so101_node import shared_memory
from so101_node.error import UserError
from so101_node.lifetime import end_with_parent
from so101_node.topics import Service, Topic

# Of a service: success, and what to tell the caller.
Answer = tuple[bool, str]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_nodes: 'WeakSet[Node]' = WeakSet()  # of this process, also those whose constructor failed


class Node(rclpy.node.Node):
    """A node that speaks the suite's topics and ends cleanly.

    A constructor declares parameters and topics. What must be let go of again (the arm, a file, a
    process) is taken in `open` and released in `close`, which is called also when `open` fails.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        _nodes.add(self)
        self.ended: Future = Future()
        # A service that waits must not hold up everything else of the node.
        self._waiting_services = ReentrantCallbackGroup()

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[[], None],
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """As rclpy's, but by the steady clock: a system clock that is set back stops no timer."""
        steady = clock or Clock(clock_type=ClockType.STEADY_TIME)
        return super().create_timer(timer_period_sec, callback, callback_group, steady, autostart)

    def end(self, error: BaseException | None = None) -> None:
        """Leave run(), from any thread; with an error, the process exits with code 1."""
        if not self.ended.done():
            self.ended.set_result(error)

    def open(self) -> None:
        """Take what the node holds. Called once, before spinning."""

    def close(self) -> None:
        """Let go of what the node holds. Called once after `open`, on every way out."""

    def publisher(self, topic: Topic) -> Publisher:
        return self.create_publisher(topic.type, topic.name, topic.qos)

    def subscribe(
        self, topic: Topic, callback: Callable[..., None], raw: bool = False
    ) -> Subscription:
        """Subscribe; a callback of two arguments also gets the message's info, see Reception."""
        return self.create_subscription(topic.type, topic.name, callback, topic.qos, raw=raw)

    def serve(
        self, service: Service, callback: Callable[[Any], Answer | Awaitable[Answer]]
    ) -> RosService:
        """Serve a Trigger or SetBool: the callback takes the request, returns success and text.

        A coroutine may wait for rclpy futures; other callbacks are called meanwhile.
        """

        async def answer(request: Any, response: Any) -> Any:
            try:
                answered = callback(request)
                if inspect.isawaitable(answered):
                    answered = await answered
                response.success, response.message = answered
            except UserError as error:
                response.success, response.message = False, str(error)
            return response

        return self.create_service(
            service.type, service.name, answer, callback_group=self._waiting_services
        )

    def client(self, service: Service) -> Client:
        return self.create_client(service.type, service.name)


def run(make_node: Callable[[], Node]) -> NoReturn:
    """Build a node, spin it until it ends or a signal comes, close it, exit the process.

    Exit codes: 0 after Node.end() or a signal, 1 after a UserError (printed in one line) or a
    defect (with its traceback). Signals during close are ignored: closing comes to its end.
    """
    end_with_parent()
    shared_memory.free_left()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    stop: Future = Future()
    ending = threading.Lock()

    def end(error: BaseException | None = None) -> None:
        with ending:
            if not stop.done():
                stop.set_result(error)

    _call_on_signal(end)
    node = None
    code = 0
    try:
        node = make_node()
        executor.add_node(node)
        node.ended.add_done_callback(lambda ended: end(ended.result()))
        # A garbage collection then looks through what the messages leave, not through all of the
        # program, which would hold up a control cycle for 10 ms, and physics for 60.
        gc.collect()
        gc.freeze()
        try:
            node.open()
            _spin(executor, node, stop)
        finally:
            node.close()
        if (error := stop.result()) is not None:
            raise error
    except UserError as error:
        name = node.get_name() if node else Path(sys.argv[0]).stem
        print(f'{name}: {error}', file=sys.stderr)
        code = 1
    finally:
        if (defect := sys.exception()) is not None:
            traceback.print_exception(defect)
            code = 1
        with ending:  # the thread that ended it may still be waking the executor
            executor.shutdown(timeout_sec=1.0)
        _leave(code)


def _spin(executor: SingleThreadedExecutor, node: Node, stop: Future) -> None:
    """Spin until `stop` is done.

    The executor's own spin_until_future_complete keeps a callback of each round for ever (rclpy
    7.1): 32 MB an hour in an idle recorder, at 33 rounds a second.
    """
    bell = node.create_guard_condition(lambda: None)
    stop.add_done_callback(lambda _: bell.trigger())
    while not stop.done():
        executor.spin_once()


def _leave(code: int) -> NoReturn:
    """Take the nodes' topics and services out of the graph, and end the process at once.

    Not as Python ends, which destroys the DDS participant, too: Fast DDS 2.14 may crash then, or
    spin for ever, when another participant goes at that moment, as all of a graph's do at its end
    (eProsima/Fast-DDS issue 6513). An empty one that is left is forgotten 20 s later.
    """
    for node in list(_nodes):
        node.handle.__enter__()  # in use from now on, so that all but the participant goes
        node.destroy_node()
    rclpy.try_shutdown()
    shared_memory.free_own()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _call_on_signal(callback: Callable[[], None]) -> None:
    """Call back from a thread on the first signal, even while the main thread waits inside C."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        while os.read(reading, 1)[0] not in _SIGNALS:
            pass  # another signal's wake-up, SIGCHLD for one
        callback()

    threading.Thread(target=wait, daemon=True, name='signals').start()
