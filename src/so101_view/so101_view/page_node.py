"""The live page: cameras, joints, the predicted chunk, health and the session in a browser."""

import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from so101_cameras.image import from_message, to_jpeg
from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.stamp import to_nanoseconds
from so101_node.topics import Topic
from so101_view import arm_figure
from so101_view.board import Board
from so101_view.gripper_path import of_chunk
from so101_view.health import Health
from so101_view.page_server import PageServer, frame_message, text_message

# The services behind the page's buttons.
BUTTONS = {
    'stop': topics.ARM_STOP,
    'clear': topics.ARM_CLEAR_FAULT,
    'next': topics.SESSION_NEXT,
    'again': topics.SESSION_AGAIN,
    'succeed': topics.SESSION_SUCCEED,
    'fail': topics.SESSION_FAIL,
    'end': topics.SESSION_END,
}

# s. Looking in turns at what came costs half of being called for each message.
_PERIOD = 1 / 30
_JOINTS_EVERY = 2  # periods
_HEALTH_EVERY = 15  # periods; what cameras there are is looked up as often

# Of images and joint states only the newest is shown; what came between is not even taken.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class Parameters:
    port: int = parameter(8101, 'Port of the page; 0: any free one', low=0, high=65535)
    host: str = parameter(
        '127.0.0.1',
        'Address at which the page is served: this machine only. At another, whoever reaches it '
        'can use its buttons',
    )
    cameras: list[str] = parameter(
        list(topics.CAMERAS), 'Cameras that the robot has', choices=tuple(topics.CAMERAS)
    )


class PageNode(Node):
    """Subscribes while somebody looks."""

    def __init__(self) -> None:
        super().__init__('page')
        settings = declare(self, Parameters)
        self._cameras = settings.cameras
        self._board = Board()
        self._health = Health()
        self._mailboxes: dict[str, Mailbox] = {}  # while somebody looks; by section
        self._figures: dict[str, Any] = {}
        self._ticks = 0
        self._timer = self.create_timer(_PERIOD, self._tick, autostart=False)
        self._reason = self.publisher(topics.EPISODE_REASON)
        self._callers = {name: self.client(service) for name, service in BUTTONS.items()}
        # What the server's thread asks of this one.
        self._asked: deque[Callable[[], None]] = deque()
        self._asking = self.create_guard_condition(self._answer)
        self._server = PageServer(
            settings.host,
            settings.port,
            self._board,
            {name: service.name for name, service in BUTTONS.items()},
            self._press,
            lambda: self._ask(self._look),
        )
        self._thread = futures.ThreadPoolExecutor(1, 'server')
        self._running: futures.Future[None] | None = None
        Diagnostics(self, self._statuses)

    def open(self) -> None:
        self._running = self._thread.submit(self._server.run)
        self._running.add_done_callback(lambda running: self.end(running.exception()))
        self.get_logger().info(f'look at {self._server.address}')

    def close(self) -> None:
        self._server.stop()
        self._thread.shutdown()

    def _ask(self, what: Callable[[], None]) -> None:
        self._asked.append(what)
        self._asking.trigger()

    def _answer(self) -> None:
        while self._asked:
            self._asked.popleft()()

    # Buttons.

    def _press(self, button: str, reason: str) -> 'futures.Future[tuple[bool, str]]':
        pressed: futures.Future[tuple[bool, str]] = futures.Future()
        self._ask(partial(self._call, button, reason, pressed))
        return pressed

    def _call(self, button: str, reason: str, pressed: 'futures.Future[tuple[bool, str]]') -> None:
        service, client = BUTTONS[button], self._callers[button]
        if not client.service_is_ready():
            pressed.set_result((False, f'{service.name}: nobody serves it'))
            return
        if reason:
            self._reason.publish(String(data=reason))

        def answered(future: Any) -> None:
            pressed.set_result((future.result().success, future.result().message))

        client.call_async(service.type.Request()).add_done_callback(answered)

    # Looking.

    def _look(self) -> None:
        """Begin or cease to look, if browsers came or went."""
        watched = self._server.browsers > 0
        if watched == bool(self._mailboxes):
            return
        if not watched:
            self._look_away()
            return
        self._put('robot', arm_figure.robot(self._cameras))
        self._mailboxes = {
            'measured': Mailbox(self, _newest(topics.JOINT_STATES)),
            'reference': Mailbox(self, _newest(topics.REFERENCE)),
            'health': Mailbox(self, topics.DIAGNOSTICS),
            'chunk': Mailbox(self, topics.ACTION_CHUNK),
            'task': Mailbox(self, topics.TASK),
        }
        self._ticks = 0
        self._timer.reset()

    def _look_away(self) -> None:
        self._timer.cancel()
        for mailbox in self._mailboxes.values():
            mailbox.close()
        self._mailboxes, self._figures, self._health = {}, {}, Health()
        self._board.clear()

    def _tick(self) -> None:
        if self._ticks % _HEALTH_EVERY == 0:
            self._choose_images()
            self._put('health', self._health.report(time.time_ns()))
        if self._ticks % _JOINTS_EVERY == 0:
            self._take_joints()
        self._ticks += 1
        for camera in self._cameras:
            for message, _ in self._mailboxes[camera].take():
                self._take_image(camera, message)
        for message, _ in self._mailboxes['health'].take():
            self._health.add(message.status, time.time_ns())
        for message, _ in self._mailboxes['chunk'].take():
            self._take_chunk(message)
        for message, _ in self._mailboxes['task'].take():
            self._put('task', message.data)
        self._server.notify()

    def _choose_images(self) -> None:
        """Listen to each camera's JPEGs; where nobody publishes any, to its raw images."""
        for camera in self._cameras:
            of = topics.CAMERAS[camera]
            only_raw = self.count_publishers(of.image.name) and not self.count_publishers(
                of.compressed.name
            )
            wanted = of.image if only_raw else of.compressed
            current = self._mailboxes.get(camera)
            if current is not None and current.name == self.resolve_topic_name(wanted.name):
                continue
            if current is not None:
                current.close()
            self._mailboxes[camera] = Mailbox(self, _newest(wanted))

    def _take_joints(self) -> None:
        new = False
        for name in ('measured', 'reference'):
            for message, _ in self._mailboxes[name].take():
                try:
                    angles = joint_positions(message.name, message.position)
                except UserError as error:
                    self._complain(self._mailboxes[name].name, error)
                    continue
                stamp = to_nanoseconds(message.header.stamp) / 1e9
                self._figures[name] = {'time': stamp, **arm_figure.figure(angles)}
                new = True
        if new:
            self._put('joints', self._figures)

    def _take_image(self, camera: str, message: Image | CompressedImage) -> None:
        try:
            jpeg = (
                bytes(message.data)
                if isinstance(message, CompressedImage)
                else to_jpeg(from_message(message))
            )
            self._board.put(camera, frame_message(camera, jpeg))
        except ValueError as error:
            self._complain(self._mailboxes[camera].name, error)

    def _take_chunk(self, message: JointTrajectory) -> None:
        try:
            path = of_chunk(message)
        except ValueError as error:
            self._complain(topics.ACTION_CHUNK.name, error)
            return
        seconds = [(time - path.times[0]) / 1e9 for time in path.times]
        self._put('chunk', {'seconds': seconds, 'points': path.positions.round(4).tolist()})

    def _put(self, section: str, content: object) -> None:
        self._board.put(section, text_message(section, content))

    def _complain(self, topic: str, error: Exception) -> None:
        self.get_logger().warning(f'{topic}: {error}; not shown', throttle_duration_sec=1.0)

    def _statuses(self) -> list[Status]:
        browsers = self._server.browsers
        sent, dropped = self._server.frames
        values = {'clients': browsers, 'frames_sent': sent, 'dropped': dropped}
        message = f'{browsers or "no"} browser{"s" * (browsers != 1)} at {self._server.address}'
        return [Status('page/server', Level.OK, message, values)]


def _newest(topic: Topic) -> Topic:
    return topic._replace(qos=_NEWEST)


def main() -> None:
    run(PageNode)


if __name__ == '__main__':
    main()
