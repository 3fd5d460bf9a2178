"""The node that is the simulated robot: physics in real time, and its servo bus at a port."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geometry_msgs.msg import Point
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from so101_driver import calibration_file
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.stamp import from_nanoseconds
from so101_node.topics import SIM_FAULT, SIM_PLACE, SIM_RESET, SIM_STATE, SIM_SUCCESS
from so101_sim import camera_fault, fault, scene
from so101_sim.serial_device import SWITCH_INTERVAL, SerialDevice
from so101_sim.simulation import RealTime, Simulation
from so101_sim.world import check_place

RATE = 30.0  # states a second, one for each camera frame

# Below this the robot moves visibly slower than its clock says.
_LEAST_FACTOR = 0.95


@dataclass(frozen=True)
class Parameters:
    port: str = parameter('', 'Path of the link to the servo bus, needed')
    by_id: str = parameter('', 'Path of a second link, to the port under whatever name; none')
    faults: str = parameter('', 'Faults from the start, separated by commas; none')
    seed: int = parameter(0, 'Seed of the first cube placement', low=0, high=2**31)
    calibration: str = parameter('', "Path of the simulated arm's calibration file, needed")


class WorldNode(Node):
    def __init__(self) -> None:
        super().__init__('sim_world')
        self._given = declare(self, Parameters)
        if not self._given.port:
            raise UserError('parameter port: give a path for the simulated port, /tmp/arm for one')
        if not self._given.calibration:
            raise UserError(
                'parameter calibration: give the path of a LeRobot calibration, such as '
                'config/calibration.json of so101_sim'
            )
        self._faults = fault.parse_all(self._given.faults)
        self._simulation = Simulation(
            scene.build(),
            calibration_file.load(self._given.calibration),
            self._given.seed,
            time.time_ns(),
        )
        self._resets = 0
        self._place: tuple[float, float] | None = None  # of the next reset, when one was asked for
        self._success: bool | None = None
        self._state = self.publisher(SIM_STATE)
        self._success_publisher = self.publisher(SIM_SUCCESS)
        self.serve(SIM_RESET, self._reset)
        self.subscribe(SIM_FAULT, self._inject)
        self.subscribe(SIM_PLACE, self._take_place)
        self.create_timer(1 / RATE, self._publish)
        self._diagnostics = Diagnostics(self, self._statuses)
        self._closing: list[SerialDevice | RealTime] = []

    def open(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._closing.append(RealTime(self._simulation, self._end_without_physics))
        port = Path(self._given.port).expanduser()
        by_id = Path(self._given.by_id).expanduser() if self._given.by_id else None
        device = SerialDevice(port, self._simulation.receive, by_id)
        self._closing.append(device)
        self._simulation.port = device
        for order in self._faults:
            self.get_logger().info(self._simulation.inject(str(order)))

    def close(self) -> None:
        for held in reversed(self._closing):
            held.close()

    def _end_without_physics(self) -> None:
        self.end(UserError('the physics ended; if nobody stopped it, see the error above'))

    def _publish(self) -> None:
        snapshot = self._simulation.snapshot()
        state = JointState(name=scene.coordinate_names(), position=snapshot.positions.tolist())
        state.header.stamp = from_nanoseconds(snapshot.time)
        state.header.frame_id = f'{scene.SEED}{snapshot.seed}'
        self._state.publish(state)
        if snapshot.success is not self._success:
            self._success = snapshot.success
            self._success_publisher.publish(Bool(data=snapshot.success))

    def _reset(self, _: Any) -> tuple[bool, str]:
        place, self._place = self._place, None
        seed = self._simulation.reset(place)
        self._resets += 1
        where = f'with seed {seed}' if place is None else f'at x {place[0]:.3f}, y {place[1]:.3f}'
        return True, f'cube placed {where}'

    def _take_place(self, message: Point) -> None:
        self._place = None
        try:
            check_place(message.x, message.y)
        except UserError as error:
            self.get_logger().warning(f'{SIM_PLACE.name}: {error}; the seeded place is taken')
            return
        self._place = (message.x, message.y)

    def _inject(self, message: String) -> None:
        if camera_fault.is_order(message.data):
            return  # the cameras node does it
        try:
            self.get_logger().info(self._simulation.inject(message.data))
        except UserError as error:
            self.get_logger().error(str(error))

    def _statuses(self) -> list[Status]:
        factor = self._simulation.real_time_factor
        slow = factor < _LEAST_FACTOR
        values: dict[str, str | float | int] = {
            'real_time_factor': factor,
            'seconds': self._simulation.seconds,
            'resets': self._resets,
            'cube_in_bowl': bool(self._success),
            'faults': ', '.join(self._simulation.faults) or 'none',
        }
        message = 'slower than real time' if slow else 'in real time'
        return [Status('sim/world', Level.WARN if slow else Level.OK, message, values)]


def main() -> None:
    run(WorldNode)


if __name__ == '__main__':
    main()
