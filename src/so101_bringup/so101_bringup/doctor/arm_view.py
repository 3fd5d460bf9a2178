"""An arm as far as the doctor gets at it: its calibration, its reading or why there is none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from so101_bringup.doctor import arm_reading
from so101_bringup.doctor.arm_reading import ROUNDS, ArmReading
from so101_bringup.doctor.finding import Finding, skipped
from so101_bringup.doctor.machine import Machine
from so101_driver import calibration_file
from so101_driver.calibration import Calibration, Role
from so101_node.error import UserError


@dataclass(frozen=True)
class ArmView:
    """`unread` is why there is no reading, '' when there is one; `refused`: the port was there
    and free, but could not be opened."""

    role: Role
    port: str
    calibration: Calibration | None
    calibration_path: Path | None
    calibration_problem: str
    reading: ArmReading | None = None
    unread: str = ''
    refused: bool = False


def look(
    machine: Machine, role: Role, port: str, calibration: str, rounds: int = ROUNDS
) -> ArmView:
    """Look at an arm, and read its servos if its port is there and nobody else uses it."""
    path, known, problem = _calibration(role, calibration)
    view = ArmView(role, port, known, path, problem)
    if reason := _closed(machine, port):
        return replace(view, unread=reason)
    try:
        opened = machine.open_port(port)
    except UserError as error:
        return replace(view, unread=str(error), refused=True)
    try:
        reading = arm_reading.read(role, opened, known, rounds, machine.seconds)
    finally:
        opened.close()
    return replace(view, reading=reading)


def judged_each(
    area: str, views: Iterable[ArmView], judged: Callable[[ArmReading], Iterator[Finding]]
) -> Iterator[Finding]:
    """Yield what is found in the reading of each arm, or that it was not read."""
    for view in views:
        if view.reading is None or not view.reading.tables:
            yield skipped(area, f'{view.role} arm: not read', arm=view.role)
        else:
            yield from judged(view.reading)


def _closed(machine: Machine, port: str) -> str:
    """Return why a port is not even opened, '' when it may be."""
    if not machine.exists(port):
        return f'there is no {port}'
    if not machine.usable(port):
        return f'{port} is not open to this user'
    if holders := machine.holders(port):
        return f'{port} is used by {", ".join(map(str, holders))}: end it to have the servos read'
    return ''


def _calibration(role: Role, text: str) -> tuple[Path | None, Calibration | None, str]:
    """Return the file, what it holds, and what is wrong with it."""
    try:
        path = calibration_file.find(text, role)
    except UserError as error:
        return None, None, str(error)
    try:
        return path, calibration_file.load(path), ''
    except UserError as error:
        return path, None, str(error)
