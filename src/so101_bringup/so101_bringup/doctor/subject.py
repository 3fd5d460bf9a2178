"""What is examined: a machine, and the robot that its robot file describes."""

from functools import cached_property
from pathlib import Path

from so101_bringup.doctor import arm_view, usb_devices
from so101_bringup.doctor.arm_reading import ROUNDS
from so101_bringup.doctor.arm_view import ArmView
from so101_bringup.doctor.machine import Instant, Machine
from so101_bringup.doctor.usb_devices import UsbDevice
from so101_driver.calibration import Role
from so101_node.robot_file import Robot


class Subject:
    """What several checks need is read once, when the first one asks for it.

    `invalid`: what is wrong with the robot file; `robot` is then the default one. `started`: when
    the examination began.
    """

    def __init__(
        self,
        machine: Machine,
        robot: Robot,
        invalid: str = '',
        dataset: Path | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        self.machine = machine
        self.robot = robot
        self.invalid = invalid
        self.dataset = dataset
        self.started: Instant = machine.now()
        self._rounds = rounds

    @property
    def ports(self) -> dict[Role, str]:
        return {'follower': self.robot.arm.port, 'leader': self.robot.leader.port}

    @cached_property
    def usb(self) -> list[UsbDevice]:
        return usb_devices.read(self.machine)

    @cached_property
    def arms(self) -> list[ArmView]:
        """Both arms; a leader that is nowhere, and was not asked for, is left out."""
        arm, leader = self.robot.arm, self.robot.leader
        calibrations = {'follower': arm.calibration, 'leader': leader.calibration}
        return [
            arm_view.look(self.machine, role, port, calibrations[role], self._rounds)
            for role, port in self.ports.items()
            if role == 'follower' or self.has_leader
        ]

    @property
    def has_leader(self) -> bool:
        """Whether there is a leader arm to look at: a port of its own that is there."""
        machine, ports = self.machine, self.ports
        same = machine.chain(ports['leader'])[-1] == machine.chain(ports['follower'])[-1]
        return machine.exists(ports['leader']) and not same

    @property
    def is_default(self) -> bool:
        """Whether nobody said what the robot is."""
        return self.robot.path is None
