"""How fast the USB devices are connected, and what they share."""

from collections.abc import Iterator, Sequence

from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject
from so101_bringup.doctor.usb_devices import DEVICES, HIGH_SPEED, SUPER_SPEED, UsbDevice

AREA = 'usb'

REALSENSE_SLOW = error(
    'usb.realsense_slow',
    'A RealSense runs at USB 2 speed (480 Mbps): it offers few modes then, and drops frames.',
    'use the cable that came with it in a USB 3 (blue) port of the computer, and push the plug '
    'home; turn a USB-C plug round',
)
SHARED_HUB = warning(
    'usb.shared_hub',
    'A camera shares a USB 2 hub with another camera or with an arm: all share 480 Mbps, and the '
    "camera's bursts hold up the servos' answers.",
    'plug the camera or the arm into a port of the computer itself',
)
AUTOSUSPEND = warning(
    'usb.autosuspend',
    'Linux may put a camera or an adapter to sleep when it is not used; some do not wake up well.',
    './so101 udev --install keeps them awake',
)
OVER_CURRENT = warning(
    'usb.over_current',
    'A USB port has cut its power because too much was drawn.',
    'give that hub its own power supply, or use another port; then restart the computer',
)
ABSENT = error(
    'usb.absent',
    'The robot file names cameras or arms on USB, and no such device is plugged in.',
    'plug them in, switch the hub on; in a container, pass /dev on (docker/compose.yaml)',
)


def find(subject: Subject) -> Iterator[Finding]:
    machine, devices = subject.machine, subject.usb
    if not machine.names(DEVICES):
        yield skipped(AREA, 'no USB here: a virtual machine, or a container without /sys')
        return
    ours = [one for one in devices if one.is_adapter or one.is_camera or one.is_realsense]
    found = [*_speeds(devices), *_hubs(ours), *_sleepers(ours), *_over_currents(machine)]
    if not ours and not subject.is_default:
        found.append(ABSENT.finding(f'{len(devices)} USB devices, no camera or arm among them'))
    yield from found
    if not found:
        yield sound(
            AREA,
            '; '.join(f'{one} at {one.speed:.0f} Mbps' for one in ours)
            or 'no camera or arm on USB',
            devices=[f'{one.vendor}:{one.product} {one.serial} {one.speed:.0f}' for one in ours],
        )


def _speeds(devices: Sequence[UsbDevice]) -> Iterator[Finding]:
    for one in devices:
        if one.is_realsense and one.speed < SUPER_SPEED:
            yield REALSENSE_SLOW.finding(
                f'{one} at {one.speed:.0f} Mbps, not {SUPER_SPEED}',
                device=one.name,
                speed_mbps=one.speed,
            )


def _hubs(ours: Sequence[UsbDevice]) -> Iterator[Finding]:
    """Report each hub with a camera at USB 2 and something else of ours on it."""
    for hub in sorted({one.parent for one in ours if one.on_external_hub}):
        on_it = [one for one in ours if one.parent == hub and one.speed <= HIGH_SPEED]
        if len(on_it) > 1 and any(one.is_camera for one in on_it):
            yield SHARED_HUB.finding(
                f'hub {hub}: {", ".join(map(str, on_it))}',
                hub=hub,
                devices=[one.name for one in on_it],
            )


def _sleepers(ours: Sequence[UsbDevice]) -> Iterator[Finding]:
    sleepers = [one for one in ours if one.power == 'auto']
    if sleepers:
        yield AUTOSUSPEND.finding(
            f'may be put to sleep: {", ".join(map(str, sleepers))}',
            devices=[one.name for one in sleepers],
        )


def _over_currents(machine: Machine) -> Iterator[Finding]:
    """Report ports that cut their power; Linux counts for each port of each hub."""
    for hub in machine.names(DEVICES):
        for port in machine.names(f'{DEVICES}/{hub}'):
            count = machine.number(f'{DEVICES}/{hub}/{port}/over_current_count')
            if count:
                yield OVER_CURRENT.finding(
                    f'{port} cut its power {count} times since the start', port=port, count=count
                )
