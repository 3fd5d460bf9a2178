"""doctor: what is wrong with this robot and its computer, and what to do about it.

    so101 doctor
    so101 doctor --only usb,bus --json report.json

It reads only: no motor gets torque, a goal or a setting. Exit code: 0 without errors (warnings do
not count), 1 with one, 2 for wrong arguments.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from so101_bringup.doctor import report
from so101_bringup.doctor.examination import CHECKS, chosen, examine
from so101_bringup.doctor.finding import Finding
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject
from so101_node import robot_file
from so101_node.error import UserError
from so101_node.robot_file import Robot

DESCRIPTION = 'Examine robot and computer: USB, servos, cameras, GPU, DDS, disk; a cure for each.'


def main(words: Sequence[str] | None = None) -> None:
    """Run the command with these words; None: those of this process."""
    given = _parser().parse_args(words)
    try:
        findings = run(given)
    except UserError as error:
        print(f'doctor: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1 if report.failed(findings) else 0)


def run(given: argparse.Namespace) -> list[Finding]:
    """Examine, say what was found, and return it. Raises UserError.

    `given`: as _parser() returns it.
    """
    areas = chosen(given.only)
    subject = _subject(given)
    console = Console(width=None if os.isatty(1) else 120, highlight=False)
    with Console(stderr=True).status('') as status:
        findings = list(examine(subject, areas, lambda area: status.update(f'{area} ...')))
    console.print(report.table(findings))
    if given.json is not None:
        made = datetime.now().astimezone()
        robot = str(subject.robot.path or '')
        text = json.dumps(report.as_json(findings, robot, made), indent=2, allow_nan=False)
        try:
            given.json.write_text(f'{text}\n')
        except OSError as error:
            raise UserError(f'--json {given.json}: {error.strerror}; give another file') from error
    return findings


def _subject(given: argparse.Namespace) -> Subject:
    invalid, robot = '', Robot()
    try:
        robot = robot_file.load(given.robot)
    except UserError as error:
        invalid = str(error)
    return Subject(Machine(), robot, invalid, given.dataset)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='doctor', description=DESCRIPTION)
    robot_file.add_option(parser)
    parser.add_argument(
        '--only',
        default='',
        metavar='AREAS',
        help=f'some of these, with commas: {",".join(CHECKS)}',
    )
    parser.add_argument('--dataset', type=Path, metavar='FOLDER', help='a dataset to examine, too')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the report for programs')
    return parser


if __name__ == '__main__':
    main()
