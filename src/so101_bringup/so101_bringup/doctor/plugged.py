"""What of a robot is plugged in: arms' adapters and cameras, and which is probably which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from so101_bringup.doctor import usb_devices
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.usb_devices import UsbDevice
from so101_driver.calibration import Role
from so101_node.error import UserError
from so101_node.robot_file import Robot

ARMS: tuple[Role, ...] = ('follower', 'leader')
CAMERAS = ('wrist', 'overhead')
ROLES = (*ARMS, *CAMERAS)

_BY_ID = {'tty': '/dev/serial/by-id', 'video4linux': '/dev/v4l/by-id'}


class Plugged(NamedTuple):
    """`node` is its present name, /dev/ttyACM0, '' of a RealSense; `stable` one that stays."""

    usb: UsbDevice
    node: str
    stable: str

    @property
    def named(self) -> str:
        """Its best name."""
        return self.stable or self.node

    def __str__(self) -> str:
        number = f', serial number {self.usb.serial}' if self.usb.serial else ''
        return f'{self.usb}{number}{f", {self.named}" if self.named else ""}'


@dataclass(frozen=True)
class Roles:
    """Who is who. `guessed`: roles that nothing but the order of the USB ports tells."""

    by_role: Mapping[str, Plugged]
    guessed: tuple[str, ...] = ()
    others: tuple[Plugged, ...] = field(default=())


def adapters(machine: Machine) -> list[Plugged]:
    """Return the serial adapters that may be an arm's, in the order of their USB ports."""
    found = _nodes(machine, 'tty')
    return [one for one in found if one.usb.is_adapter]


def cameras(machine: Machine) -> list[Plugged]:
    """Return the cameras in the order of their USB ports, a RealSense once and without a node."""
    found: dict[str, Plugged] = {}
    for one in _nodes(machine, 'video4linux'):
        # The other nodes of a camera carry metadata.
        index = machine.number(f'/sys/class/video4linux/{one.node.rpartition("/")[2]}/index')
        if index == 0 and not one.usb.is_realsense:
            found.setdefault(one.usb.name, one)
    for usb in usb_devices.read(machine):
        if usb.is_realsense:
            found[usb.name] = Plugged(usb, '', '')
    return [found[name] for name in sorted(found)]


def _nodes(machine: Machine, subsystem: str) -> list[Plugged]:
    stable = {}
    for name in machine.names(_BY_ID[subsystem]):
        path = f'{_BY_ID[subsystem]}/{name}'
        stable[machine.chain(path)[1] if len(machine.chain(path)) > 1 else path] = path
    found = []
    for name in machine.names(f'/sys/class/{subsystem}'):
        if usb := usb_devices.of_node(machine, name, subsystem):
            node = f'/dev/{name}'
            found.append(Plugged(usb, node, stable.get(node, '')))
    return sorted(found, key=lambda one: (one.usb.name, one.node))


def assigned(machine: Machine, robot: Robot, given: Mapping[str, str]) -> Roles:
    """Say which device has which role.

    `given` (role -> serial number, path or USB name) counts most, then the robot file, then order:
    the first adapter is the follower, a RealSense is the wrist camera. Raises UserError for a
    given one that is not plugged in.
    """
    arms, eyes = adapters(machine), cameras(machine)
    by_role: dict[str, Plugged] = {}
    for role, text in given.items():
        pool = arms if role in ARMS else eyes
        if not (found := _matching(machine, pool, text)):
            names = '; '.join(map(str, pool)) or 'none'
            raise UserError(f'--{role} {text}: not plugged in. There is: {names}')
        by_role[role] = found
    for role, text in _of_file(robot).items():
        found = _matching(machine, arms if role in ARMS else eyes, text)
        if role not in by_role and found and found not in by_role.values():
            by_role[role] = found
    guessed = []
    for roles, pool in ((ARMS, arms), (CAMERAS, _wrist_first(eyes))):
        free = [one for one in pool if one not in by_role.values()]
        for role in roles:
            if role not in by_role and free:
                by_role[role] = free.pop(0)
                if len(pool) > 1 and not by_role[role].usb.is_realsense:
                    guessed.append(role)
    if len({one.usb.name for one in by_role.values()}) < len(by_role):
        raise UserError('one device was given two roles; give each role its own')
    others = [one for one in (*arms, *eyes) if one not in by_role.values()]
    ordered = {role: by_role[role] for role in ROLES if role in by_role}
    # Beside a RealSense, another camera is the overhead one.
    if ordered.get('wrist') and ordered['wrist'].usb.is_realsense and len(eyes) == 2:
        guessed = [role for role in guessed if role not in CAMERAS]
    return Roles(ordered, tuple(guessed), tuple(others))


def _of_file(robot: Robot) -> dict[str, str]:
    """Return what the robot file calls the devices, where one was read."""
    if robot.path is None:
        return {}
    named = {'follower': robot.arm.port, 'leader': robot.leader.port}
    named |= {name: setting.device for name, setting in robot.cameras.items()}
    return {role: text for role, text in named.items() if text}


def _matching(machine: Machine, pool: list[Plugged], text: str) -> Plugged | None:
    places = machine.chain(text) if '/' in text else []
    return next(
        (
            one
            for one in pool
            if text in (one.usb.serial, one.usb.name) or (one.node and one.node in places)
        ),
        None,
    )


def _wrist_first(eyes: list[Plugged]) -> list[Plugged]:
    return sorted(eyes, key=lambda one: not one.usb.is_realsense)
