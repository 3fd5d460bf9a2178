"""The node that says how sound the images of each camera are, whoever publishes them."""

from collections.abc import Mapping
from dataclasses import dataclass

from sensor_msgs.msg import CompressedImage, Image

from so101_cameras.image_health import Change, ImageHealth
from so101_cameras.picture import Compressed, Raw
from so101_cameras.poses import Poses
from so101_node.clocks import Clocks
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.reception import Reception
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, JOINT_STATES, Topic

# Seconds from one look at what came to the next: three images of each camera.
_PERIOD = 0.1

# Nanoseconds until a camera's first image: a graph starts, and a camera takes its time to open.
_PATIENCE = 10_000_000_000

# Looks from one to the next at who publishes what.
_PUBLISHERS = 10


@dataclass(frozen=True)
class Parameters:
    cameras: list[str] = parameter(
        list(CAMERAS), 'Cameras that the robot has', choices=tuple(CAMERAS)
    )


class Camera:
    """Hears one camera: compressed, and raw where only that is published."""

    def __init__(self, node: Node, name: str, poses: Poses) -> None:
        self.name = name
        now = Clocks.read().steady
        self.health = ImageHealth(name, poses, now, patience=_PATIENCE)
        self._node = node
        self._hear(CAMERAS[name].compressed)

    def choose(self) -> None:
        """Hear what is published."""
        compressed, raw = CAMERAS[self.name].compressed, CAMERAS[self.name].image
        count = self._node.count_publishers
        wanted = raw if count(raw.name) and not count(compressed.name) else compressed
        if wanted is not self._topic:
            self._mailbox.close()
            self._hear(wanted)

    def take(self, clocks: Clocks) -> list[Change]:
        """Take the images that came since the last time; return what began and ended."""
        changes = []
        for message, info in self._mailbox.take():
            self._reception.add(info)
            arrived = min(clocks.steady_of(info['received_timestamp']), clocks.steady)
            captured = clocks.steady_of(to_nanoseconds(message.header.stamp))
            changes += self.health.image(arrived, captured, _picture(message))
        return changes + self.health.look(clocks.steady)

    def status(self, now: int) -> Status:
        faults = self.health.faults
        blind = any(kind.blind for kind in faults)
        begun = self.health.begun
        level = Level.ERROR if blind else Level.OK if begun and not faults else Level.WARN
        well = f'{self.health.rate.hz:.0f} a second' if begun else 'no image yet'
        message = '; '.join(map(str, faults.values())) or well
        return Status(f'image_health/{self.name}', level, message, self._figures(now))

    def _hear(self, topic: Topic) -> None:
        self._topic = topic
        self._mailbox = Mailbox(self._node, topic)
        self._reception = Reception()

    def _figures(self, now: int) -> Mapping[str, str | float | int | bool]:
        health, seen, shift = self.health, self.health.seen, self.health.shift
        nan = float('nan')
        return {
            'topic': self._mailbox.name,
            'faults': ', '.join(health.faults),
            'rate_hz': health.rate.hz,
            'jitter_ms': health.rate.jitter * 1e3,
            'age_ms': (now - health.arrived + health.age) * 1e-6,
            'latency_ms': health.age * 1e-6,
            'width': seen.width if seen else 0,
            'height': seen.height if seen else 0,
            'brightness': seen.brightness if seen else nan,
            'contrast': seen.contrast if seen else nan,
            'burnt_out': seen.clipped if seen else nan,
            'brightness_to_start': shift.brightness if shift else nan,
            'red_to_start': shift.red if shift else nan,
            'blue_to_start': shift.blue if shift else nan,
            'received': self._reception.received,
            'lost': self._reception.lost,
        }


class ImageHealthNode(Node):
    def __init__(self) -> None:
        super().__init__('image_health')
        given = declare(self, Parameters)
        self._poses = Poses()
        self._joints = Mailbox(self, JOINT_STATES)
        self._cameras = [Camera(self, name, self._poses) for name in given.cameras]
        self._looks = 0
        self._diagnostics = Diagnostics(self, self._statuses)
        self.create_timer(_PERIOD, self._look)

    def _look(self) -> None:
        clocks = Clocks.read()
        for message, info in self._joints.take():
            self._poses.add(clocks.steady_of(info['received_timestamp']), message.position)
        changes = [change for camera in self._cameras for change in camera.take(clocks)]
        for fault, ended in changes:
            if ended is None:
                self.get_logger().warning(str(fault))
            else:
                seconds = (ended - fault.since) * 1e-9
                self.get_logger().info(f'it is over after {seconds:.1f} s: {fault.text}')
        if changes:
            self._diagnostics.publish()
        if self._looks % _PUBLISHERS == 0:
            for camera in self._cameras:
                camera.choose()
        self._looks += 1

    def _statuses(self) -> list[Status]:
        now = Clocks.read().steady
        return [camera.status(now) for camera in self._cameras]


def _picture(message: CompressedImage | Image) -> Compressed | Raw:
    return Raw(message) if isinstance(message, Image) else Compressed(message.data.tobytes())


def main() -> None:
    run(ImageHealthNode)


if __name__ == '__main__':
    main()
