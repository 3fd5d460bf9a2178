"""udev: names for the arms and cameras that stay, whatever is plugged in first.

    so101 udev                      shows the rules
    sudo so101 udev --install       writes them, and has udev read them

The follower becomes /dev/so101_follower, the others so101_leader, so101_wrist and so101_overhead.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from so101_bringup.doctor import plugged
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.plugged import ROLES
from so101_bringup.doctor.udev_rules import PATH, rules
from so101_node import robot_file
from so101_node.error import UserError

DESCRIPTION = 'Give arms and cameras names that stay: udev rules of what is plugged in.'

# Runs a program; raises OSError or CalledProcessError.
Run = Callable[[Sequence[str]], object]

_RELOAD = (
    ('udevadm', 'control', '--reload-rules'),
    (
        'udevadm',
        'trigger',
        '--subsystem-match=tty',
        '--subsystem-match=video4linux',
        '--subsystem-match=usb',
    ),
)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command with these words; None: those of this process."""
    given = _parser().parse_args(words)
    try:
        run(given, Machine(), list(sys.argv[1:] if words is None else words))
    except UserError as error:
        print(f'udev: {error}', file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def run(given: argparse.Namespace, machine: Machine, words: Sequence[str]) -> None:
    """Show or install the rules. Raises UserError. `given`: as _parser() returns it."""
    chosen = {role: text for role in ROLES if (text := getattr(given, role))}
    roles = plugged.assigned(machine, robot_file.load(given.robot), chosen)
    if not roles.by_role:
        raise UserError('no arm and no camera is plugged in; plug in what is to get a name')
    text = rules(roles.by_role, roles.others)
    if roles.guessed:
        print(
            f'udev: {" and ".join(roles.guessed)}: by the order of USB ports, for nothing else '
            f'tells them apart; if that is wrong, give --{roles.guessed[0]} NUMBER or PATH',
            file=sys.stderr,
        )
    if not given.install:
        print(text, end='')
        return
    print(install(text, machine.path(PATH), ' '.join(words), os.geteuid() == 0, _run))


def install(text: str, path: Path, words: str, root: bool, run: Run) -> str:
    """Write the rules where they differ and have udev read them; return what was done.

    `words`: those of the command, for the hint when this is not `root`. The file that was there
    is kept beside it as .bak. Raises UserError.
    """
    try:
        before = path.read_text() if path.exists() else None
        if before == text:
            return f'{path} holds these rules already: nothing was written'
        if not root:
            raise UserError(f'only root may write {path}: sudo ./so101 udev {words}')
        path.parent.mkdir(parents=True, exist_ok=True)
        if before is not None:
            shutil.copy2(path, path.with_name(f'{path.name}.bak'))
        partial = path.with_name(f'{path.name}.partial')  # udev reads what ends in .rules
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error
    for command in _RELOAD:
        try:
            run(command)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserError(
                f'{path} is written, but {" ".join(command)} failed ({error}): unplug the devices '
                'and plug them in again'
            ) from error
    return f'{path} is written. See the names: ls -l /dev/so101_*'


def _run(words: Sequence[str]) -> None:
    subprocess.run(words, check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='udev', description=DESCRIPTION)
    robot_file.add_option(parser)
    for role in ROLES:
        parser.add_argument(
            f'--{role}', default='', metavar='WHICH', help='its serial number, path or USB port'
        )
    parser.add_argument('--install', action='store_true', help=f'write {PATH} (needs root)')
    return parser


if __name__ == '__main__':
    main()
