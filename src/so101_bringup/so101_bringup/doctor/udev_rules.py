"""udev rules: names that stay, permissions, and nobody who meddles; pure.

A rule compares what is before `==` and assigns the rest. ATTRS{...} and KERNELS look at the device
and at those that it hangs on, all of one rule at the same one.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from so101_bringup.doctor.plugged import ARMS, Plugged
from so101_bringup.doctor.usb_devices import INTEL

# Before 73-seat-late.rules, which hands what is tagged uaccess to whoever sits at the computer;
# after 50-udev-default.rules and 60-serial.rules.
PATH = '/etc/udev/rules.d/70-so101.rules'

_HEAD = """\
# The devices of an SO-101 robot: names that stay, permissions. Made by: so101 udev
# Run it again when a device is changed; what is edited here gets lost then.
"""

_ODD = re.compile(r'[^A-Za-z0-9._:-]')


def rules(roles: Mapping[str, Plugged], others: Sequence[Plugged] = ()) -> str:
    """Return the file: role (follower, leader, wrist, overhead) -> its device.

    `others` are also plugged in: a serial number that two share tells nothing.
    """
    numbers = Counter(one.usb.serial for one in (*roles.values(), *others))
    parts = [_HEAD]
    for role, plugged in roles.items():
        unique = bool(plugged.usb.serial) and numbers[plugged.usb.serial] == 1
        parts.append(_device(role, plugged, unique))
    return '\n'.join(parts)


def _device(role: str, plugged: Plugged, unique: bool) -> str:
    usb = plugged.usb
    kind = 'arm' if role in ARMS else 'camera'
    told = f'serial number {usb.serial}' if unique else f'whatever is on USB port {usb.name}'
    lines = [f'# {role} {kind}: {_ODD.sub(" ", usb.title)} ({usb.vendor}:{usb.product}), {told}']
    ids = {'idVendor': usb.vendor, 'idProduct': usb.product}
    if unique:
        ids['serial'] = _ODD.sub('?', usb.serial)
    own = [f'ATTR{{{key}}}=="{value}"' for key, value in ids.items()]
    above = [f'ATTRS{{{key}}}=="{value}"' for key, value in ids.items()]
    if not unique:
        own.append(f'KERNEL=="{usb.name}"')
        above.append(f'KERNELS=="{usb.name}"')
    name = f'SYMLINK+="so101_{role}"'
    awake = 'ATTR{power/control}="on"'
    if role in ARMS:
        lines += [
            _rule('SUBSYSTEM=="tty"', *above, name, *_open('dialout'), _ignored('PORT')),
            _usb(*own, _ignored('DEVICE'), awake),
        ]
    elif usb.is_realsense:
        # librealsense finds it by its serial number, and also drives it past the kernel.
        lines += [
            _rule('SUBSYSTEM=="video4linux"', *above, *_open('video')),
            _usb(f'ATTR{{idVendor}}=="{INTEL}"', *own[1:], *_open('plugdev'), awake),
        ]
    else:
        # Its second node carries metadata.
        first = 'ATTR{index}=="0"'
        lines += [
            _rule('SUBSYSTEM=="video4linux"', first, *above, name, *_open('video')),
            _usb(*own, awake),
        ]
    return ''.join(f'{line}\n' for line in lines)


def _usb(*parts: str) -> str:
    return _rule('SUBSYSTEM=="usb"', 'ENV{DEVTYPE}=="usb_device"', *parts)


def _rule(*parts: str) -> str:
    return ', '.join(('ACTION!="remove"', *parts))


def _open(group: str) -> tuple[str, ...]:
    """Let a group in, and whoever sits at the computer."""
    return 'MODE="0660"', f'GROUP="{group}"', 'TAG+="uaccess"'


def _ignored(what: str) -> str:
    return f'ENV{{ID_MM_{what}_IGNORE}}="1"'
