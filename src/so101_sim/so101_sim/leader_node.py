"""The node that is a simulated leader arm: its servo bus at a port, and a hand that moves it."""

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from so101_description.joints import HOME
from so101_driver.calibration_file import load
from so101_node.error import UserError
from so101_node.joint_positions import checked_home
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import DIAGNOSTICS, SIM_STATE
from so101_sim import expert, scene
from so101_sim.demonstrator import Demonstrator
from so101_sim.guided_arm import GuidedArm
from so101_sim.hand import Hand, Waves
from so101_sim.serial_device import SWITCH_INTERVAL, SerialDevice


@dataclass(frozen=True)
class Parameters:
    port: str = parameter('', 'Path of the link to the servo bus, needed')
    hand: str = parameter(
        'waves',
        'What moves it: waves, for ever, or the expert, who does the task when a session says so',
        choices=('waves', 'expert'),
    )
    home: list[float] = parameter(
        HOME.tolist(), 'Where the expert has the arm before an episode, radians'
    )
    seed: int = parameter(0, "Seed of the hand's motion", low=0, high=2**31)
    calibration: str = parameter('', "Path of the leader arm's calibration file, needed")


class LeaderNode(Node):
    """The arm's clock begins with the node. The bus's thread and the node's share the arm."""

    def __init__(self) -> None:
        super().__init__('sim_leader')
        self._given = declare(self, Parameters)
        if not self._given.port:
            raise UserError('parameter port: give a path for the port, /tmp/leader for one')
        if not self._given.calibration:
            raise UserError(
                'parameter calibration: give the path of a LeRobot calibration, such as '
                'config/calibration.json of so101_sim'
            )
        self._start = time.monotonic_ns()
        self._lock = threading.Lock()
        self._world = b''  # the last sim/state, serialized
        self._running = False  # an episode
        hand: Hand = Waves(self._given.seed)
        if self._given.hand == 'expert':
            hand = self._demonstrator = Demonstrator(checked_home(self._given.home))
            self.subscribe(SIM_STATE, self._see, raw=True)
            self.subscribe(DIAGNOSTICS, self._hear, raw=True)
        self._arm = GuidedArm(load(self._given.calibration), hand, 0)
        self._device: SerialDevice | None = None

    def open(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        port = Path(self._given.port).expanduser()
        self._device = SerialDevice(port, self._answer)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()

    def _now(self) -> int:
        return time.monotonic_ns() - self._start

    def _answer(self, data: bytes) -> bytes:
        with self._lock:
            return self._arm.receive(data, self._now())

    def _see(self, data: bytes) -> None:
        self._world = data

    def _hear(self, data: bytes) -> None:
        if b'session/progress' not in data:  # that of the other nodes is not worth the decoding
            return
        for status in deserialize_message(data, DIAGNOSTICS.type).status:
            if status.name == 'session/progress':
                said = {pair.key: pair.value for pair in status.values}
                self._take_progress(said['state'] == 'running', int(said['number']))

    def _take_progress(self, running: bool, number: int) -> None:
        if running == self._running:
            return
        self._running = running
        if not running:
            with self._lock:
                self._demonstrator.go_back(self._now() * 1e-9)
            return
        heard = self._now() * 1e-9
        try:
            self._demonstrate(number, heard)
        except UserError as error:
            self.get_logger().error(f'episode {number} is not demonstrated: {error}')

    def _demonstrate(self, number: int, heard: float) -> None:
        """Plan a demonstration of its own for this episode, and begin it as soon as a person."""
        if not self._world:
            raise UserError(f'nothing is heard of {SIM_STATE.name}: see sim_world')
        state = deserialize_message(self._world, JointState)
        seed = (self._given.seed << 31) + number
        cube, yaw = scene.cube_place(state.name, state.position)
        with self._lock:
            start = self._demonstrator.pose(heard)
        # It takes long, and the bus is answered meanwhile.
        way = expert.demonstration(start, cube, yaw, seed)
        with self._lock:
            begin = max(heard + expert.reaction(seed), self._now() * 1e-9)
            self._demonstrator.follow(way, begin)


def main() -> None:
    run(LeaderNode)


if __name__ == '__main__':
    main()
