"""The cameras as the robot file names them: there, stable, ours to open, used by nobody else."""

from collections.abc import Iterator

from so101_bringup.doctor import usb_devices
from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_bringup.doctor.usb_devices import UsbDevice
from so101_node.robot_file import CameraSetting

AREA = 'camera'

MISSING = error(
    'camera.missing',
    'A camera of the robot file is not plugged in, or has another name.',
    'plug it in; ./so101 robot lists the cameras there are',
)
NO_FILE = error(
    'camera.no_file',
    'The video file or dataset that stands in for a camera does not exist.',
    'correct cameras.{camera}.device in the robot file',
)
FORBIDDEN = error(
    'camera.forbidden',
    'This user may not open the camera.',
    'sudo usermod -aG video,plugdev $USER, then log out and in again; or ./so101 udev --install',
)
UNSTABLE = warning(
    'camera.unstable',
    'The camera is named by the order in which devices were plugged in, so it may be the other '
    'one tomorrow.',
    'write {stable} into the robot file',
)
HELD = error(
    'camera.held',
    'Another program uses the camera.',
    'end {holder}; if it is your own session of so101, all is well',
)
SAME = error(
    'camera.same',
    'Both cameras are the same device.',
    'give each its own in the robot file; ./so101 robot lists them',
)
UNNAMED = warning(
    'camera.unnamed',
    'The robot file does not say which camera it is, and several are plugged in.',
    'write its serial number or its /dev/v4l/by-id path into cameras.{camera}.device',
)

_NODES = 'video4linux'
_BY_ID = '/dev/v4l/by-id'

# Sources that are opened here, and whose devices are on this computer.
_LOCAL = ('v4l2', 'realsense', 'usb_cam', 'realsense2_camera')
_REALSENSE = ('realsense', 'realsense2_camera')


def find(subject: Subject) -> Iterator[Finding]:
    found: list[Finding] = []
    seen: dict[str, str] = {}
    said = []
    for name, setting in subject.robot.cameras.items():
        if setting.source == 'video':
            found += _file(subject, name, setting)
        elif setting.source in _LOCAL:
            device = located(subject, setting)
            found += _device(subject, name, setting, device)
            if device and device in seen:
                found.append(
                    SAME.finding(f'{seen[device]} and {name} are {device}', device=device)
                )
            seen.setdefault(device, name)
        who = 'others publish it' if setting.source == 'none' else setting.source
        said.append(f'{name}: {who} {setting.device}'.strip())
    yield from found
    if not found:
        yield sound(AREA, '; '.join(said), cameras=said)


def _file(subject: Subject, name: str, setting: CameraSetting) -> Iterator[Finding]:
    if not subject.machine.exists(setting.device):
        yield NO_FILE.finding(f'{name}: there is no {setting.device}', camera=name)


def located(subject: Subject, setting: CameraSetting) -> str:
    """Return the camera's device: the end of its path's links, or its USB name; '' of none."""
    machine = subject.machine
    if '/' in setting.device:
        return machine.chain(setting.device)[-1] if machine.exists(setting.device) else ''
    wanted = _eligible(subject, setting)
    if setting.device:
        # A RealSense's serial number on USB is another than the one on its label.
        if setting.source in _REALSENSE:
            return wanted[0].name if len(wanted) == 1 else setting.device if wanted else ''
        wanted = [one for one in wanted if setting.device in (one.serial, one.name)]
    return wanted[0].name if wanted else ''


def _eligible(subject: Subject, setting: CameraSetting) -> list[UsbDevice]:
    """Return the cameras that the source takes when it is not told which."""
    realsense = setting.source in _REALSENSE
    return [one for one in subject.usb if (one.is_realsense if realsense else one.is_camera)]


def _device(subject: Subject, name: str, setting: CameraSetting, device: str) -> Iterator[Finding]:
    machine = subject.machine
    if not device:
        yield MISSING.finding(
            f'{name}: no {setting.source} camera {setting.device or "on USB"}',
            camera=name,
            device=setting.device,
        )
        return
    if not setting.device:
        several = _eligible(subject, setting)
        if len(several) > 1:
            yield UNNAMED.finding(
                f'{name}: {setting.source} without a device, of {", ".join(map(str, several))}',
                camera=name,
            )
    for node in _nodes(subject, device):
        if not machine.usable(node):
            yield FORBIDDEN.finding(f'{name}: {node} is closed to you', camera=name, node=node)
            return
    if setting.device.startswith('/dev/video'):
        stable = _stable(subject, setting.device)
        yield UNSTABLE.finding(
            f'{name}: {setting.device}, which changes', camera=name, stable=stable
        )
    for node in _nodes(subject, device):
        for holder in machine.holders(node):
            yield HELD.finding(
                f'{name}: {node} is used by {holder}', camera=name, node=node, holder=str(holder)
            )
            return


def _nodes(subject: Subject, device: str) -> list[str]:
    """Return the files in /dev of a device: itself, or all of a USB camera."""
    if device.startswith('/'):
        return [device]
    machine = subject.machine
    return [
        f'/dev/{node}'
        for node in machine.names(f'/sys/class/{_NODES}')
        if (usb := usb_devices.of_node(machine, node, _NODES)) and usb.name == device
    ]


def _stable(subject: Subject, path: str) -> str:
    machine = subject.machine
    end = machine.chain(path)[-1]
    for name in machine.names(_BY_ID):
        if machine.chain(f'{_BY_ID}/{name}')[-1] == end:
            return f'{_BY_ID}/{name}'
    return 'its serial number, or a name made by ./so101 udev --install,'
