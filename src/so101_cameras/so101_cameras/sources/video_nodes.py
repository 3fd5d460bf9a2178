"""The video devices of this machine, found by serial number, USB port, by-id path or node."""

from dataclasses import dataclass
from pathlib import Path

from so101_cameras.sources.source import SourceError
from so101_node.error import UserError

_USB_2 = 480.0  # Mbit/s
# The version that a USB 3 device states there, of the USB 3 standard.
_USB_3_ON_USB_2 = '2.10'


@dataclass(frozen=True)
class VideoNode:
    """A capture node. `serial` and `port` ('1-2.3') are '' where there is none; `speed` in Mbit/s
    of its USB link, 0 where it is not on USB; `held_back`: it is made for a faster one."""

    path: Path
    name: str
    serial: str
    port: str
    speed: float
    held_back: bool = False

    def __str__(self) -> str:
        serial = f', serial number {self.serial}' if self.serial else ''
        port = f', USB port {self.port}' if self.port else ''
        return f'{self.path} ({self.name}{serial}{port})'


def video_nodes(sysfs: Path, devices: Path) -> list[VideoNode]:
    """Return the nodes that give frames; each camera's others give metadata about them."""
    found = []
    for entry in sorted(sysfs.glob('video*'), key=lambda path: (len(path.name), path.name)):
        if _read(entry / 'index') not in ('0', ''):
            continue
        # The device of a camera on USB is an interface of it, in the folder of the USB device.
        usb = (entry / 'device').resolve().parent
        on_usb = bool(_read(usb / 'idVendor'))
        speed = float(_read(usb / 'speed') or 0) if on_usb else 0.0
        found.append(
            VideoNode(
                devices / entry.name,
                _read(entry / 'name'),
                _read(usb / 'serial') if on_usb else '',
                usb.name if on_usb else '',
                speed,
                0 < speed <= _USB_2 and _read(usb / 'version') == _USB_3_ON_USB_2,
            )
        )
    return found


def lasting_name(node: VideoNode, nodes: list[VideoNode]) -> str:
    """Return by what it is found when it was plugged in again and has another number.

    That is its USB port where it shares its serial number with another, as cheap cameras do.
    """
    alone = sum(other.serial == node.serial for other in nodes) == 1
    return (alone and node.serial) or node.port or str(node.path)


def find(device: str, nodes: list[VideoNode]) -> VideoNode:
    """Return the node that `device` names: serial number, USB port or path; '' is the only one.

    Raises SourceError when it is not there, UserError when it may mean several.
    """
    if not device:
        chosen = nodes
    elif device.startswith('/'):
        path = Path(device).resolve()
        chosen = [node for node in nodes if node.path.resolve() == path]
        if not chosen and path.exists():
            raise UserError(
                f'device {device} gives no pictures; give the one of {_list(nodes) or "another"}'
            )
    else:
        chosen = [node for node in nodes if device in (node.serial, node.port)]
    if not chosen:
        there = f'there is {_list(nodes)}' if nodes else 'there is no camera at all'
        raise SourceError(
            f'camera {device or "(any)"} is not there: plug it in, or correct device; {there}'
        )
    if len(chosen) > 1:
        raise UserError(
            f'device {device!r} may mean several cameras; give the path of one: {_list(chosen)}'
        )
    return chosen[0]


def _list(nodes: list[VideoNode]) -> str:
    return ', '.join(map(str, nodes))


def _read(path: Path) -> str:
    """Return an attribute of sysfs, '' when it is not there: the camera may just have gone."""
    try:
        return path.read_text(errors='replace').strip()
    except OSError:
        return ''
