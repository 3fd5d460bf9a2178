"""The node that is a simulated leader arm: its servo bus at a port, and a hand that moves it."""

import time
from dataclasses import dataclass
from pathlib import Path

from so101_driver.calibration_file import load
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_sim.guided_arm import GuidedArm, Hand
from so101_sim.serial_device import SerialDevice


@dataclass(frozen=True)
class Parameters:
    port: str = parameter('', 'Path of the link to the servo bus, needed')
    seed: int = parameter(0, "Seed of the hand's motion", low=0, high=2**31)
    calibration: str = parameter('', "Path of the leader arm's calibration file, needed")


class LeaderNode(Node):
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
        calibration = load(self._given.calibration)
        self._arm = GuidedArm(calibration, Hand(self._given.seed), time.monotonic_ns())
        self._device: SerialDevice | None = None

    def open(self) -> None:
        port = Path(self._given.port).expanduser()
        self._device = SerialDevice(port, self._answer)

    def close(self) -> None:
        if self._device is not None:
            self._device.close()

    def _answer(self, data: bytes) -> bytes:
        return self._arm.receive(data, time.monotonic_ns())


def main() -> None:
    run(LeaderNode)


if __name__ == '__main__':
    main()
