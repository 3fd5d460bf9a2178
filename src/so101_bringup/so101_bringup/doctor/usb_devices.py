"""The USB devices of the machine, as Linux shows them in /sys."""

import re
from typing import NamedTuple

from so101_bringup.doctor.machine import Machine

DEVICES = '/sys/bus/usb/devices'

# Mbps. A USB 3 device on a USB 2 port or cable runs at the first.
HIGH_SPEED = 480
SUPER_SPEED = 5000

# The adapters that SO-101 arms come with, or that people use for them: (vendor, product) as their
# makers registered them; Linux's cdc-acm, ch341, cp210x and ftdi_sio drive them.
ADAPTERS = {
    ('1a86', '55d3'): 'CH343',  # Waveshare's Bus Servo Adapter (A), and most SO-101 kits
    ('1a86', '55d4'): 'CH9102',
    ('1a86', '7523'): 'CH340',  # Feetech's FE-URT-1
    ('10c4', 'ea60'): 'CP2102',
    ('0403', '6001'): 'FT232R',
    ('0403', '6014'): 'FT232H',
}

# Intel's vendor id, and what its depth cameras call themselves.
INTEL = '8086'
_REALSENSE = 'realsense'

_VIDEO_CLASS = '0e'
_DEVICE = re.compile(r'\d+-\d+(\.\d+)*|usb\d+')
_INTERFACE = re.compile(r'(\d+-\d+(?:\.\d+)*):\d+\.\d+')


class UsbDevice(NamedTuple):
    """`name` is Linux's, by bus and ports: 1-2.3 is on port 3 of the hub on port 2 of bus 1."""

    name: str
    vendor: str
    product: str
    serial: str  # '' when the maker gave it none
    title: str
    speed: float  # Mbps
    video: bool  # whether it is a camera
    power: str  # 'on', or 'auto': it may be put to sleep

    @property
    def parent(self) -> str:
        """The device it is plugged into: a hub, or the computer's own (usb1)."""
        bus, _, ports = self.name.partition('-')
        head, _, _ = ports.rpartition('.')
        return f'{bus}-{head}' if head else f'usb{bus}'

    @property
    def on_external_hub(self) -> bool:
        return not self.parent.startswith('usb')

    @property
    def is_realsense(self) -> bool:
        return self.vendor == INTEL and _REALSENSE in self.title.lower()

    @property
    def is_adapter(self) -> bool:
        return (self.vendor, self.product) in ADAPTERS

    @property
    def is_camera(self) -> bool:
        return self.video

    def __str__(self) -> str:
        return f'{self.title or f"{self.vendor}:{self.product}"} (USB {self.name})'


def read(machine: Machine) -> list[UsbDevice]:
    """Return what is plugged in, the computer's own hubs left out."""
    names = machine.names(DEVICES)
    return [
        _device(machine, name, names)
        for name in names
        if _DEVICE.fullmatch(name) and not name.startswith('usb')
    ]


def _device(machine: Machine, name: str, names: list[str]) -> UsbDevice:
    def text(attribute: str) -> str:
        return machine.text(f'{DEVICES}/{name}/{attribute}') or ''

    interfaces = [other for other in names if other.startswith(f'{name}:')]
    classes = [machine.text(f'{DEVICES}/{one}/bInterfaceClass') for one in interfaces]
    speed = text('speed')
    return UsbDevice(
        name=name,
        vendor=text('idVendor'),
        product=text('idProduct'),
        serial=text('serial'),
        title=text('product'),
        speed=float(speed) if re.fullmatch(r'\d+(\.\d+)?', speed) else 0.0,
        video=_VIDEO_CLASS in classes,
        power=text('power/control'),
    )


def node(machine: Machine, path: str, subsystem: str) -> str:
    """Return Linux's name (ttyACM0, video2) of the device at a path; '' when it is none."""
    known = set(machine.names(f'/sys/class/{subsystem}'))
    return next(
        (name for part in machine.chain(path) if (name := part.rpartition('/')[2]) in known), ''
    )


def behind(machine: Machine, path: str, subsystem: str) -> UsbDevice | None:
    """Return the USB device that the device at a path belongs to; None when it is no USB one."""
    name = node(machine, path, subsystem)
    return of_node(machine, name, subsystem) if name else None


def of_node(machine: Machine, name: str, subsystem: str) -> UsbDevice | None:
    """Return the USB device of ttyACM0 (subsystem tty) or video2 (video4linux)."""
    found = str(machine.path(f'/sys/class/{subsystem}/{name}/device').resolve())
    interfaces = _INTERFACE.findall(found)
    if not interfaces:
        return None
    return next((one for one in read(machine) if one.name == interfaces[-1]), None)
