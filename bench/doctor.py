"""Faults planted in a made-up robot PC: which the doctor finds and names, and false alarms.

`make bench NAME=doctor`; two minutes. Beside it, which of the faults that servos show LeRobot
refuses when it connects to the same servos. Writes the table of docs/planted_faults.md anew.
"""

import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from so101_bringup import figures
from so101_bringup.doctor.examination import CHECKS, examine, kinds
from so101_bringup.doctor.finding import Finding, Level
from so101_bringup.doctor.planted_faults import PLANTED, Planted
from so101_bringup.doctor.stand import Stand
from so101_bringup.figures import at_least, exactly, untargeted
from so101_description.joints import JOINTS
from so101_policy.checkpoint import NOTE
from so101_policy.untrained_smolvla import build
from so101_sim.serial_device import SerialDevice

DOCUMENT = Path('docs') / 'planted_faults.md'

SUMMARY = 'In this table: '
HEAD = '| planted | finding | found | with it | LeRobot, connecting |\n|---|---|---|---|---|\n'


def wrong(stand: Stand) -> list[Finding]:
    found = examine(stand.subject(), CHECKS)
    return [one for one in found if one.level in (Level.WARN, Level.ERROR)]


def lerobot(stand: Stand) -> str:
    """Return what LeRobot says of the follower when it connects to it, '' when it is content.

    It compares the servos with the calibration file, as its follower does.
    """
    device = SerialDevice(stand.folder / 'tty', stand.follower.answer)
    joints = dict(zip(JOINTS, stand.calibration('follower').joints, strict=True))
    bus = FeetechMotorsBus(
        str(device.path),
        {name: Motor(one.id, 'sts3215', MotorNormMode.DEGREES) for name, one in joints.items()},
        {name: MotorCalibration(**asdict(one)) for name, one in joints.items()},
    )
    try:
        bus.connect()
        calibrated = bus.is_calibrated
        bus.disconnect(disable_torque=False)
    except (ConnectionError, RuntimeError) as error:
        said = ' '.join(str(error).split())
        return said.partition("tty': ")[2] or said
    finally:
        device.unplug()
    return '' if calibrated else 'its calibration differs'


def row(planted: Planted, found: list[Finding], said: str | None) -> str:
    named = next((one.found for one in found if one.id == planted.kind.id), '**not found**')
    others = sorted({one.id for one in found} - {planted.kind.id})
    beside = '' if said is None else said[:80] or 'connects'
    cells = (planted.fault, f'`{planted.kind.id}`', named, ', '.join(others), beside)
    return '| ' + ' | '.join(cell.replace('|', '/') for cell in cells) + ' |\n'


def main() -> None:
    logging.disable(logging.WARNING)
    lines, missed, unexpected, refused, on_arm = [], [], [], 0, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        checkpoint = root / 'checkpoint'
        build(checkpoint)
        (checkpoint / NOTE).unlink()  # it says that the weights are random
        sound = wrong(Stand(root / 'sound', checkpoint))
        for number, planted in enumerate(PLANTED):
            stand = Stand(root / str(number), checkpoint)
            planted.plant(stand)
            found = wrong(stand)
            said = None
            if planted.on_arm:
                on_arm += 1
                stand = Stand(root / f'{number}_lerobot', checkpoint)
                planted.plant(stand)
                said = lerobot(stand)
                refused += bool(said)
            ids = {one.id for one in found}
            if planted.kind.id not in ids:
                missed.append(planted.fault)
            if more := ids - {planted.kind.id, *(kind.id for kind in planted.also)}:
                unexpected.append(f'{planted.fault}: {", ".join(sorted(more))}')
            lines.append(row(planted, found, said).replace(name, ''))
            print(lines[-1], end='', flush=True)
    measured = [
        at_least('planted_faults', len(PLANTED), 25, '', required=True),
        exactly('faults_not_found', len(missed), 0, '', required=True, reason='; '.join(missed)),
        exactly('findings_on_a_sound_machine', len(sound), 0, '', required=True,
                reason='; '.join(one.id for one in sound)),
        exactly('faults_with_a_false_finding_beside', len(unexpected), 0, '', required=True,
                reason='; '.join(unexpected)),
        untargeted('kinds_of_findings', len(kinds()), ''),
        untargeted('faults_of_servos_named', on_arm, '', baseline=refused,
                   baseline_name='LeRobot refuses to connect'),
    ]  # fmt: skip
    figures.show('Doctor', measured)
    figures.write(Path('build') / 'bench' / 'doctor.json', 'doctor', measured, table=lines)
    if figures.failed(measured):
        sys.exit(1)
    introduction = DOCUMENT.read_text().partition(SUMMARY)[0]
    summary = (
        f'{SUMMARY}{len(lines)} faults, each found. Of the {on_arm} that servos show, LeRobot '
        f'refuses {refused} when it connects.\n\n'
    )
    DOCUMENT.write_text(introduction + summary + HEAD + ''.join(lines))


if __name__ == '__main__':
    main()
