"""What a policy node receives: the topics that a policy needs, counted, judged, as observations.

The images are judged here, by the class that the node image_health and the recorder judge by: what
the policy acts upon is what it sees itself, without another process between.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from sensor_msgs.msg import Image

from so101_cameras.image_health import Fault, ImageHealth, Kind
from so101_cameras.picture import Raw
from so101_cameras.poses import Poses
from so101_node import topics
from so101_node.clocks import Clocks
from so101_node.mailbox import Mailbox
from so101_node.node import Node
from so101_node.reception import Reception
from so101_node.stamp import to_nanoseconds
from so101_policy.observation import Latest

_JOINTS = 'joint_states'


class Inputs:
    """Hears some of the cameras, and looks for joint states when told to or with each image.

    `latest` is what they make; `receptions` counts by source: the cameras and joint_states.
    `faults` are those of the cameras at this moment.
    """

    def __init__(
        self,
        node: Node,
        cameras: Iterable[str],
        joints: Mailbox,
        max_age: float,
        max_skew: float,
        seen: Callable[[], None],
    ) -> None:
        """`seen` is called after each image; the limits, seconds, are those of Latest."""
        names = {camera: topics.CAMERAS[camera].image.name for camera in cameras}
        self.latest = Latest(names, max_age, max_skew)
        self.receptions = {source: Reception() for source in [*names, _JOINTS]}
        self._poses = Poses()
        begun = Clocks.read().steady
        self._health = [ImageHealth(camera, self._poses, begun) for camera in names]
        self._node = node
        self._joints = joints
        self._seen = seen
        self._subscriptions = [
            node.subscribe(topics.CAMERAS[camera].image, partial(self._take_image, camera, health))
            for camera, health in zip(names, self._health, strict=True)
        ]

    def close(self) -> None:
        """Hear no camera any more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def take_joints(self) -> None:
        for message, info in self._joints.take():
            self.receptions[_JOINTS].add(info)
            self.latest.add_joints(to_nanoseconds(message.header.stamp), message)

    def watch(self, now: int) -> str:
        """Say why there is nothing to act upon at `now`, '' if there is; some ten times a second.

        How old an image may be is a parameter, and judged with the joint states: silence is not
        judged twice.
        """
        clocks = Clocks.read()
        self.take_joints()
        if (pose := self.latest.pose()) is not None:
            self._poses.add(clocks.steady, pose)
        for health in self._health:
            health.look(clocks.steady)
        return self.blind or self.latest.complaint(now) or ''

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with the images that do come."""
        return [
            fault
            for health in self._health
            for kind, fault in health.faults.items()
            if kind is not Kind.SILENT
        ]

    @property
    def blind(self) -> str:
        """Why what the cameras show cannot be relied on, or nothing."""
        return '; '.join(str(fault) for fault in self.faults if fault.kind.blind)

    def figures(self) -> dict[str, int | float]:
        """Return what was received and lost of each source, and the latencies of the images."""
        values: dict[str, int | float] = {}
        for source, reception in self.receptions.items():
            values[f'{source}_received'] = reception.received
            values[f'{source}_lost'] = reception.lost
            if source != _JOINTS:
                for q in (50, 95):
                    values[f'{source}_latency_p{q}_ms'] = 1e3 * reception.latency.percentile(q)
        return values

    @property
    def lost(self) -> int:
        """Messages of all sources."""
        return sum(reception.lost for reception in self.receptions.values())

    def _take_image(self, camera: str, health: ImageHealth, message: Image, info: Any) -> None:
        if not self._subscriptions:
            return  # the executor had it already when this was closed
        self.receptions[camera].add(info)
        captured = to_nanoseconds(message.header.stamp)
        self.latest.add_image(camera, captured, message)
        clocks = Clocks.read()
        arrived = min(clocks.steady_of(info['received_timestamp']), clocks.steady)
        health.image(arrived, clocks.steady_of(captured), Raw(message))
        self.take_joints()
        self._seen()
