"""The node that is the simulated cameras: renders the world's state for each camera."""

import time
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String

from so101_cameras.publisher import CameraPublisher
from so101_description.cameras import CAMERAS
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.reception import Reception
from so101_node.samples import Samples
from so101_node.stamp import to_nanoseconds
from so101_node.topics import SIM_FAULT, SIM_STATE
from so101_sim import camera_fault, scene
from so101_sim.camera_fault import CameraTrouble, Order
from so101_sim.fault import CLEAR
from so101_sim.look import LOOKS, look
from so101_sim.renderer import Renderer

# A short queue: a stall of up to three frames is caught up, and rendering that falls further
# behind goes on with the newest states. What it skips shows as lost: the frames of a slow camera.
NEWEST_STATES = SIM_STATE._replace(qos=QoSProfile(depth=3))


@dataclass(frozen=True)
class Parameters:
    look: str = parameter(
        'fixed',
        'How the scene looks: always the same, or with each sim/reset another one of its seed',
        choices=LOOKS,
    )


class CamerasNode(Node):
    def __init__(self) -> None:
        super().__init__('sim_cameras')
        self._varied = declare(self, Parameters).look == 'varied'
        self._seed = ''  # whose look it is, as sim/state says it
        self._renderer = Renderer(scene.build())
        self._cameras = {
            name: CameraPublisher(self, name, _info(self._renderer.focal_length(name)))
            for name in CAMERAS
        }
        self._troubles = {name: CameraTrouble() for name in CAMERAS}
        self._seconds = Samples()  # a rendered image
        self._reception = Reception()
        self.subscribe(NEWEST_STATES, self._render)
        self.subscribe(SIM_FAULT, self._inject)
        self._diagnostics = Diagnostics(self, self._statuses)

    def close(self) -> None:
        self._renderer.close()

    def _render(self, state: JointState, info: Any) -> None:
        self._reception.add(info)
        try:
            scene.check_coordinates(state.name, state.position)
        except UserError as error:
            return self.end(UserError(f'{SIM_STATE.name}: {error}'))
        if self._varied and state.header.frame_id != self._seed:
            self._vary(state.header.frame_id)
        self._renderer.place(state.position)
        for name, publisher in self._cameras.items():
            start = time.monotonic()
            pixels = self._renderer.image(name)
            self._seconds.add(time.monotonic() - start)
            captured = to_nanoseconds(state.header.stamp)
            if (frame := self._troubles[name].frame(pixels, captured)) is not None:
                publisher.publish(*frame)

    def _vary(self, said: str) -> None:
        seed = said.removeprefix(scene.SEED)
        if not seed.isdecimal():
            return self.end(UserError(f'{SIM_STATE.name}: {said!r} is no seed for a look'))
        self._seed = said
        self._renderer.wear(look(int(seed)))
        for name, publisher in self._cameras.items():
            publisher.info = _info(self._renderer.focal_length(name))

    def _inject(self, message: String) -> None:
        if message.data.split() == [CLEAR.name]:
            for trouble in self._troubles.values():
                trouble.fault = None
            return
        if not camera_fault.is_order(message.data):
            return  # the world does it
        try:
            order = camera_fault.parse(message.data)
        except UserError as error:
            self.get_logger().error(str(error))
            return
        self._troubles[order.camera].fault = order.fault
        self.get_logger().info(f'{order}: {order.effect}')

    def _statuses(self) -> list[Status]:
        skipped = self._reception.lost
        values: dict[str, float | int | str] = {
            f'{name}_published': publisher.published for name, publisher in self._cameras.items()
        }
        values['skipped'] = skipped
        values['render_p50_ms'] = self._seconds.percentile(50) * 1e3
        values['render_p95_ms'] = self._seconds.percentile(95) * 1e3
        orders = [
            str(Order(name, trouble.fault))
            for name, trouble in self._troubles.items()
            if trouble.fault is not None
        ]
        values['faults'] = ', '.join(orders) or 'none'
        level = Level.WARN if skipped else Level.OK
        return [Status('sim/cameras', level, f'{skipped} states not rendered', values)]


def _info(focal: float) -> CameraInfo:
    """Return the intrinsics of an ideal camera; `focal` in pixels."""
    width, height = scene.IMAGE_SIZE
    x, y = (width - 1) / 2, (height - 1) / 2
    return CameraInfo(
        width=width,
        height=height,
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=[focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def main() -> None:
    run(CamerasNode)


if __name__ == '__main__':
    main()
