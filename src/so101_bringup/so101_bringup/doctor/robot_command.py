"""robot: a first robot file, of what is plugged in.

so101 robot                        shows it
so101 robot --write robot.yaml     writes it; a file that is there stays as it is
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from so101_bringup.doctor import plugged
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.plugged import ARMS, CAMERAS, ROLES, Plugged, Roles
from so101_driver import calibration_file
from so101_driver.calibration import Role
from so101_node.error import UserError
from so101_node.robot_file import NAME, Robot

DESCRIPTION = 'Make a first robot file of the arms and cameras that are plugged in.'

_HEAD = """\
# This robot: its ports, cameras, calibrations. Every command reads it in the folder it runs in, or
# where SO101_ROBOT says. Made by: so101 robot
"""

_SECTIONS = {'follower': 'arm', 'leader': 'leader'}


def main(words: Sequence[str] | None = None) -> None:
    """Run the command with these words; None: those of this process."""
    given = _parser().parse_args(words)
    try:
        run(given, Machine())
    except UserError as error:
        print(f'robot: {error}', file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def run(given: argparse.Namespace, machine: Machine) -> None:
    """Show or write the file. Raises UserError. `given`: as _parser() returns it."""
    chosen = {role: text for role in ROLES if (text := getattr(given, role))}
    roles = plugged.assigned(machine, Robot(), chosen)
    if not roles.by_role:
        raise UserError(
            'no arm and no camera is plugged in: plug them in, or copy '
            'src/so101_bringup/config/robot.yaml and edit it'
        )
    known = {role: list(calibration_file.known(role)) for role in ARMS}
    text = proposal(roles, known)
    if given.write is None:
        print(text, end='')
        return
    try:
        with given.write.open('x') as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f'{given.write} is there already, and stays as it is') from None
    except OSError as error:
        raise UserError(f'--write {given.write}: {error.strerror}') from error
    print(f'{given.write} is written. Read it, then: ./so101 doctor')


def proposal(roles: Roles, known: Mapping[Role, Sequence[str]]) -> str:
    """Return the robot file; `known`: the ids of the arms calibrated on this computer."""
    lines = [_HEAD]
    for role in ARMS:
        if role in roles.by_role:
            lines += _arm(role, roles.by_role[role], role in roles.guessed, known[role])
    eyes = {name: roles.by_role[name] for name in CAMERAS if name in roles.by_role}
    lines.append('cameras:')
    if 'wrist' not in eyes:
        lines += ['  # None is plugged in: say which it is, or who publishes its topics.']
        lines += ['  wrist: {source: none}']
    for name, camera in eyes.items():
        lines += _camera(name, camera, name in roles.guessed)
    lines += [f'# Also plugged in: {one}' for one in roles.others]
    return '\n'.join(lines) + '\n'


def _arm(role: Role, arm: Plugged, guessed: bool, known: Sequence[str]) -> list[str]:
    lines = [f'# {arm.usb}']
    if guessed:
        lines.append('# If the other arm moves, exchange the two ports.')
    lines += [f'{_SECTIONS[role]}:', f'  port: {arm.named}']
    if len(known) == 1:
        lines.append(f'  calibration: {known[0]}')
    elif known:
        lines.append(f'  # One of these is it: {", ".join(known)}')
        lines.append('  # calibration: ')
    else:
        lines.append(f'  # Then: ./so101 calibrate --role {role} --id NAME, and NAME here.')
        lines.append('  # calibration: NAME')
    return lines


def _camera(name: str, camera: Plugged, guessed: bool) -> list[str]:
    lines = [f'  # {camera.usb}']
    if guessed:
        lines.append('  # If the pictures are exchanged, exchange the two devices.')
    if camera.usb.is_realsense:
        lines.append(f'  {name}: {{source: realsense}}')
    else:
        lines.append(f'  {name}: {{source: v4l2, device: {camera.named}}}')
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='robot', description=DESCRIPTION)
    for role in ROLES:
        parser.add_argument(
            f'--{role}', default='', metavar='WHICH', help='its serial number, path or USB port'
        )
    parser.add_argument(
        '--write', type=Path, metavar=NAME, help='write it, unless there is a file'
    )
    return parser


if __name__ == '__main__':
    main()
