"""Each servo: its kind and firmware, how it is, what it reports of itself, how it is set."""

from collections.abc import Iterator

from so101_bringup.doctor.arm_reading import SYNC_READ_FIRMWARE, ArmReading
from so101_bringup.doctor.arm_view import judged_each
from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_driver.registers import (
    MAX_TEMPERATURE,
    MODE,
    MODEL,
    MODEL_STS3215,
    PRESENT_TEMPERATURE,
    STATUS,
    TORQUE_ENABLE,
)
from so101_driver.servo_fault import reported

AREA = 'servos'

WRONG_MODEL = error(
    'servos.wrong_model',
    'A motor is no STS3215, so its positions and limits mean something else.',
    'put an STS3215 in its place',
)
OLD_FIRMWARE = warning(
    'servos.old_firmware',
    'Firmware before 3.10 answers common requests with spoilt frames. The driver asks such an arm '
    'servo by servo, which takes longer; LeRobot fails.',
    "bring it up to date with Feetech's FD program (Windows)",
)
MIXED_FIRMWARE = warning(
    'servos.mixed_firmware',
    "The servos have different firmware. Ours does not mind; LeRobot's own tools refuse the arm.",
    "bring all to the newest with Feetech's FD program (Windows)",
)
REPORTS = error(
    'servos.reports_fault',
    'A servo reports a fault of its own: voltage, encoder, temperature, current or overload.',
    '{cure} (docs/troubleshooting.md)',
)
HOT = warning(
    'servos.hot',
    'A servo is warm enough to cut out soon.',
    'let the arm rest, torque off; lighten what it carries; see that the joint moves freely',
)
TORQUE_ON = warning(
    'servos.torque_on',
    'The servos hold their last goal, and no driver runs: a program was killed.',
    'hold the arm, then switch its power off and on (or start and end ./so101 teleop)',
)
WRONG_MODE = error(
    'servos.wrong_mode',
    'A servo is not in position mode: a goal would be a speed or a power.',
    './so101 calibrate --role {arm} sets it right',
)

# Degrees Celsius; as the driver's warning.
_WARM = 55


def find(subject: Subject) -> Iterator[Finding]:
    yield from judged_each(AREA, subject.arms, judged)


def judged(reading: ArmReading) -> Iterator[Finding]:
    found = [*_kinds(reading), *_reports(reading), *_states(reading)]
    yield from found
    if not found:
        servos = list(reading.tables)
        hottest = max(reading.get(servo, PRESENT_TEMPERATURE) for servo in servos)
        firmware = _version(reading.firmware(servos[0]))
        yield sound(
            AREA,
            f'{reading.role} arm: {len(servos)} x STS3215, firmware {firmware}, at most '
            f'{hottest} C, no faults',
            arm=reading.role,
            firmware=firmware,
            hottest_c=hottest,
        )


def _kinds(reading: ArmReading) -> Iterator[Finding]:
    arm = reading.role
    for servo in reading.tables:
        if (model := reading.get(servo, MODEL)) != MODEL_STS3215:
            yield WRONG_MODEL.finding(
                f'{arm} arm: {reading.name(servo)} has model number {model}, an STS3215 has '
                f'{MODEL_STS3215}',
                arm=arm,
                servo=servo,
                model=model,
            )
        if mode := reading.get(servo, MODE):
            yield WRONG_MODE.finding(
                f'{arm} arm: {reading.name(servo)} is in mode {mode}, not 0',
                arm=arm,
                servo=servo,
                mode=mode,
            )
    versions = {servo: reading.firmware(servo) for servo in reading.tables}
    old = [servo for servo, version in versions.items() if version < SYNC_READ_FIRMWARE]
    if old:
        names = ', '.join(f'{reading.name(s)} {_version(versions[s])}' for s in old)
        yield OLD_FIRMWARE.finding(f'{arm} arm: {names}', arm=arm, servos=list(map(str, old)))
    elif len(set(versions.values())) > 1:
        names = ', '.join(f'{reading.name(s)} {_version(v)}' for s, v in versions.items())
        yield MIXED_FIRMWARE.finding(f'{arm} arm: {names}', arm=arm)


def _reports(reading: ArmReading) -> Iterator[Finding]:
    for servo in reading.tables:
        for fault in reported(reading.get(servo, STATUS)):
            yield REPORTS.finding(
                f'{reading.role} arm: {reading.name(servo)} reports {fault.name}',
                arm=reading.role,
                servo=servo,
                fault=fault.name,
                cure=fault.cure,
            )


def _states(reading: ArmReading) -> Iterator[Finding]:
    arm = reading.role
    for servo in reading.tables:
        temperature = reading.get(servo, PRESENT_TEMPERATURE)
        if temperature >= _WARM:
            limit = reading.get(servo, MAX_TEMPERATURE)
            yield HOT.finding(
                f'{arm} arm: {reading.name(servo)} has {temperature} C; it cuts out at {limit}',
                arm=arm,
                servo=servo,
                temperature_c=temperature,
            )
    powered = [servo for servo in reading.tables if reading.get(servo, TORQUE_ENABLE)]
    if powered:
        names = ', '.join(map(reading.name, powered))
        yield TORQUE_ON.finding(
            f'{arm} arm: {names} {"has" if len(powered) == 1 else "have"} torque',
            arm=arm,
            servos=list(map(str, powered)),
        )


def _version(firmware: tuple[int, int]) -> str:
    return f'{firmware[0]}.{firmware[1]}'
