"""The calibration file, and whether the servos hold the same."""

from collections.abc import Iterator

import numpy as np

from so101_bringup.doctor.arm_reading import ArmReading
from so101_bringup.doctor.arm_view import ArmView
from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_description.joints import JOINTS, URDF_LIMITS
from so101_driver import eprom
from so101_driver.calibration import MAX_TICK, Calibration
from so101_driver.eprom import GRIPPER_SETTINGS, Difference, Grade
from so101_driver.registers import (
    D_GAIN,
    I_GAIN,
    MODE,
    MODEL,
    P_GAIN,
    PHASE,
    PRESENT_POSITION,
    RETURN_DELAY,
)

AREA = 'calibration'

MISSING = error(
    'calibration.missing',
    'The arm has no calibration file, so nobody knows what its positions mean.',
    './so101 calibrate --role {arm} --id NAME, then NAME into the robot file',
)
LEADER_MISSING = warning(
    'calibration.leader_missing',
    'The leader arm has no calibration file. Only teleop and record need it.',
    './so101 calibrate --role leader --id NAME, then NAME into the robot file',
)
INVALID = error(
    'calibration.invalid',
    'The calibration file cannot be used.',
    'restore its .bak beside it, or ./so101 calibrate --role {arm}',
)
DIFFERS = error(
    'calibration.differs',
    'The servos hold other offsets or ranges than the file: the file is of another arm, or '
    'somebody calibrated anew. The driver refuses torque.',
    'name the right file in the robot file, or write it into the servos: ./so101 calibrate '
    '--role {arm}',
)
SHARED = error(
    'calibration.shared',
    'Follower and leader have one calibration file.',
    'calibrate each arm: ./so101 calibrate --role leader --id NAME',
)
RETURN_DELAYS = warning(
    'calibration.return_delay',
    'Servos wait before they answer, each of the six in turn: the bus gets slower.',
    './so101 calibrate --role {arm} mends it, and leaves the rest as it is',
)
MULTI_TURN = warning(
    'calibration.multi_turn',
    'A servo counts turns: after one its positions leave 0 to 4095, and the calibration is void.',
    './so101 calibrate --role {arm} mends it',
)
GAINS = warning(
    'calibration.gains',
    "The servos' P, I and D are not LeRobot's: the arm shakes, or is soft.",
    './so101 calibrate --role {arm} mends it',
)
GRIPPER_LIMITS = warning(
    'calibration.gripper_limits',
    "The gripper's torque and current are not limited as LeRobot does: it burns when it holds "
    'something for long.',
    './so101 calibrate --role {arm} mends it',
)
NARROW = warning(
    'calibration.narrow',
    'A joint was hardly moved while it was calibrated: it cannot go further now.',
    './so101 calibrate --role {arm}, and move each joint from stop to stop',
)
OUTSIDE = warning(
    'calibration.outside',
    'A joint is outside its calibrated range: the driver refuses torque there.',
    'move it back by hand, torque off; if it looks right as it is, calibrate anew',
)

# Part of the range in the URDF that a sound calibration has at least.
_NARROW = 0.5

# Radians that a joint may be outside.
_TOLERANCE = np.deg2rad(5.0)

# Settings that differ, by what they do; what is in none of them is held to be calibration.
_SETTINGS = {
    RETURN_DELAYS: {RETURN_DELAY},
    MULTI_TURN: {PHASE},
    GAINS: {P_GAIN, I_GAIN, D_GAIN},
    GRIPPER_LIMITS: set(GRIPPER_SETTINGS),
}

# servos.py reports these.
_ELSEWHERE = {MODEL, MODE}


def find(subject: Subject) -> Iterator[Finding]:
    paths = [view.calibration_path for view in subject.arms if view.calibration_path]
    if len(paths) > 1 and len({path.resolve() for path in paths}) == 1:
        yield SHARED.finding(f'both have {paths[0]}', file=str(paths[0]))
    for view in subject.arms:
        yield from _view(view)


def _view(view: ArmView) -> Iterator[Finding]:
    arm = view.role
    if view.calibration is None:
        if view.calibration_path and view.calibration_path.exists():
            kind = INVALID
        else:
            kind = MISSING if arm == 'follower' else LEADER_MISSING
        first = view.calibration_problem.partition('. Run calibrate')[0]
        yield kind.finding(first, arm=arm)
        return
    found = list(narrow(arm, view.calibration))
    file = str(view.calibration_path)
    if view.reading is None or len(view.reading.joints) < len(JOINTS):
        yield from found
        if not found:
            yield skipped(AREA, f'{arm} arm: {file} is sound; not all servos were read', arm=arm)
        return
    found += judged(view.reading, view.calibration)
    yield from found
    if not found:
        yield sound(AREA, f'{arm} arm: the servos hold {file}', arm=arm, file=file)


def narrow(arm: str, calibration: Calibration) -> Iterator[Finding]:
    """Report joints whose range was not gone through."""
    for name, joint in zip(JOINTS, calibration.joints, strict=True):
        low, high = URDF_LIMITS[name]
        part = (joint.range_max - joint.range_min) * 2 * np.pi / MAX_TICK / (high - low)
        if part < _NARROW:
            yield NARROW.finding(
                f'{arm} arm: {name} has {100 * part:.0f} % of its range '
                f'({joint.range_min} to {joint.range_max})',
                arm=arm,
                joint=name,
                part=round(float(part), 3),
            )


def judged(reading: ArmReading, calibration: Calibration) -> Iterator[Finding]:
    """Compare all six servos with the calibration."""
    arm = reading.role
    stored = [eprom.of_table(reading.tables[servo]) for servo in reading.expected]
    differences = [
        one
        for one in eprom.differences(calibration, stored, arm)
        if one.register not in _ELSEWHERE
    ]
    differs = [one for one in differences if one.grade is Grade.CALIBRATION]
    if differs:
        yield DIFFERS.finding(_text(arm, differs), arm=arm, differences=list(map(str, differs)))
    settings = [one for one in differences if one.grade is Grade.SETTING]
    for kind, registers in _SETTINGS.items():
        if own := [one for one in settings if one.register in registers]:
            yield kind.finding(_text(arm, own), arm=arm, differences=list(map(str, own)))
    ticks = [reading.get(servo, PRESENT_POSITION) for servo in reading.expected]
    if not differs and (outside := calibration.outside(ticks, _TOLERANCE)):
        yield OUTSIDE.finding(f'{arm} arm: {", ".join(outside)}', arm=arm, joints=outside)


def _text(arm: str, differences: list[Difference]) -> str:
    """Say the first ones: all of them may be 18."""
    more = len(differences) - 3
    said = '; '.join(map(str, differences[:3]))
    return f'{arm} arm: {said}{f"; and {more} more" if more > 0 else ""}'
