"""The arms' serial ports: there, stable, ours to open, and used by nobody else."""

from collections.abc import Iterator

from so101_bringup.doctor import usb_devices
from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject
from so101_driver.calibration import Role
from so101_node.robot_file import Leader

AREA = 'port'

MISSING = error(
    'port.missing',
    "The arm's port does not exist: its cable is out, or the port has another name.",
    'plug the arm in; ./so101 robot lists the ports there are',
)
LEADER_MISSING = warning(
    'port.leader_missing',
    "The leader arm's port in the robot file does not exist. Only teleop and record need it.",
    'plug the leader arm in, or correct leader.port in the robot file',
)
FORBIDDEN = error(
    'port.forbidden',
    'This user may not open the port.',
    'sudo usermod -aG dialout $USER, then log out and in again; or ./so101 udev --install',
)
UNSTABLE = warning(
    'port.unstable',
    'The port is named by the order in which devices were plugged in, so it may be the other '
    "arm's tomorrow.",
    'write {stable} into the robot file',
)
HELD = error(
    'port.held',
    'Another program uses the port. While a driver of ours does, the servos are not read.',
    'end {holder}; if it is your own session of so101, all is well',
)
MODEM_MANAGER = warning(
    'port.modem_manager',
    'ModemManager runs, and tries each new port for a modem: the servos get its commands, and the '
    'port is busy for half a minute.',
    './so101 udev --install keeps it away from the arms',
)
BRLTTY = error(
    'port.brltty',
    'brltty, a program for Braille displays, takes adapters with a CH340 away.',
    'sudo apt remove brltty, then plug the arm in again',
)
SAME = error(
    'port.same',
    'Follower and leader are the same port.',
    'give each its own port in the robot file; ./so101 robot lists them',
)

_NUMBERED = ('/dev/ttyACM', '/dev/ttyUSB')
_IGNORED = ('E:ID_MM_DEVICE_IGNORE=1', 'E:ID_MM_PORT_IGNORE=1')


def find(subject: Subject) -> Iterator[Finding]:
    machine, ports = subject.machine, subject.ports
    found: list[Finding] = []
    targets = {role: machine.chain(port)[-1] for role, port in ports.items()}
    if targets['follower'] == targets['leader']:
        found.append(SAME.finding(f'both are {ports["follower"]}', port=ports['follower']))
    for role, port in ports.items():
        if role == 'leader' and targets['follower'] == targets['leader']:
            continue
        found += _port(subject, role, port)
    found += _meddlers(subject)
    yield from found
    if not found:
        there = [f'{role} {port}' for role, port in ports.items() if machine.exists(port)]
        yield sound(AREA, '; '.join(there), ports=there)


def _port(subject: Subject, role: Role, port: str) -> Iterator[Finding]:
    machine = subject.machine
    if not machine.exists(port):
        if role == 'follower':
            yield MISSING.finding(f'the {role} arm has no port {port}', arm=role, port=port)
        elif subject.robot.leader != Leader():
            yield LEADER_MISSING.finding(f'the {role} arm has no port {port}', arm=role, port=port)
        return
    if not machine.usable(port):
        yield FORBIDDEN.finding(f'{port} of the {role} arm is closed to you', arm=role, port=port)
    if port.startswith(_NUMBERED):
        stable = _stable(machine, port, role)
        yield UNSTABLE.finding(
            f'the {role} arm is {port}, which changes', arm=role, port=port, stable=stable
        )
    for holder in machine.holders(port):
        yield HELD.finding(
            f'{port} of the {role} arm is used by {holder}',
            arm=role,
            port=port,
            holder=str(holder),
        )


def _stable(machine: Machine, port: str, role: Role) -> str:
    """Return a name of the port that stays: udev's, or the one that our rules make."""
    for name in machine.names('/dev/serial/by-id'):
        if machine.chain(f'/dev/serial/by-id/{name}')[-1] == machine.chain(port)[-1]:
            return f'/dev/serial/by-id/{name}'
    return f'/dev/so101_{role} (made by ./so101 udev --install)'


def _meddlers(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    names = {process.name for process in machine.processes()}
    ports = [port for port in subject.ports.values() if machine.exists(port)]
    if 'ModemManager' in names:
        bothered = [port for port in ports if not _ignored(machine, port)]
        if bothered:
            yield MODEM_MANAGER.finding(
                f'ModemManager runs, and no rule keeps it off {", ".join(bothered)}',
                ports=bothered,
            )
    if 'brltty' in names:
        taken = [one for one in subject.usb if (one.vendor, one.product) == ('1a86', '7523')]
        if taken:
            yield BRLTTY.finding(f'brltty runs, and {taken[0]} is a CH340', device=taken[0].name)


def _ignored(machine: Machine, port: str) -> bool:
    """Return whether udev tells ModemManager to leave a port alone."""
    name = usb_devices.node(machine, port, 'tty')
    number = machine.text(f'/sys/class/tty/{name}/dev') if name else None
    if number is None:
        return True  # no serial adapter: a simulated arm's port
    known = (machine.text(f'/run/udev/data/c{number}') or '').splitlines()
    return any(line in known for line in _IGNORED)
