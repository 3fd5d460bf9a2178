"""The servo bus: who answers, how fast, how often not."""

from collections.abc import Iterator

import numpy as np

from so101_bringup.doctor.arm_reading import ArmReading
from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.subject import Subject

AREA = 'bus'

REFUSED = error(
    'bus.refused',
    'The port is there and free, but cannot be opened.',
    'unplug the arm and plug it in again; see that the robot file names a serial port',
)
SILENT = error(
    'bus.silent',
    'No servo answers at 1 Mbps.',
    "switch the arm's power supply on, check the cable from the board to shoulder_pan and the "
    "board's USB jumper; new motors: ./so101 setup_motors",
)
MISSING = error(
    'bus.missing_servo',
    'Some servos do not answer: a cable is loose, or a motor has another id or baud rate.',
    'push in the cables from the last one that answers on; ./so101 setup_motors --check looks at '
    'every baud rate',
)
DUPLICATE = error(
    'bus.duplicate_id',
    'Two motors have one id, or a cable spoils what they say.',
    'give each its own id, alone on the board: ./so101 setup_motors',
)
FOREIGN = warning(
    'bus.foreign_id',
    'A motor answers that is no joint of the arm.',
    'set it up (./so101 setup_motors) or take it off the bus',
)
SLOW = warning(
    'bus.slow',
    'Reading all servos takes long: the adapter collects what it has, or the servos wait before '
    'they answer. The driver may not reach its rate.',
    'mend the return delay (./so101 calibrate); use a CH343 adapter, or echo 1 to the '
    "adapter's latency_timer in /sys/bus/usb-serial",
)
UNSTEADY = warning(
    'bus.unsteady',
    'One reading in a hundred takes long: the computer is busy, or the USB is shared.',
    'end other programs, and plug the arm into a port of the computer itself',
)
LOSSY = warning(
    'bus.errors',
    'Some requests are not answered rightly. A sound bus has none.',
    'change the cable at the servo that is named, keep cables away from the motors, check the '
    'power supply',
)
BROKEN = error(
    'bus.broken',
    'So many requests fail that the arm would stop again and again.',
    'change the cable at the servo that is named, then the board; check the power supply',
)
GONE = error(
    'bus.gone',
    'The port vanished while it was read.',
    'change the USB cable; plug the arm into the computer itself, not into a hub',
)

# Milliseconds. The wire's own time is 1.7; a CH343 adds some tenths, an FTDI's timer 16.
_SLOW_MS = 4.0
_UNSTEADY_MS = 10.0

# Part of the requests. The first is the driver's own limit on /diagnostics.
_SOME = 0.005
_MANY = 0.05

_PERCENTILES = (50, 95, 99)


def find(subject: Subject) -> Iterator[Finding]:
    for view in subject.arms:
        if view.refused:
            yield REFUSED.finding(f'{view.role} arm: {view.unread}', arm=view.role)
        elif view.reading is None:
            yield skipped(AREA, f'{view.role} arm: {view.unread}', arm=view.role)
        else:
            yield from judged(view.reading)


def judged(reading: ArmReading) -> Iterator[Finding]:
    arm = reading.role
    if not reading.heard and not reading.gone:
        yield SILENT.finding(f'{arm} arm: no motor answers on {reading.port}', arm=arm)
        return
    found = [*_identities(reading), *_times(reading), *_failures(reading)]
    if reading.gone:
        found.append(GONE.finding(f'{arm} arm: {reading.gone}', arm=arm))
    yield from found
    if not found:
        values = figures(reading)
        yield sound(
            AREA,
            f'{arm} arm: {len(reading.tables)} servos, {len(reading.round_trips)} readings in '
            f'{_said(reading)} ms (p50, p95, p99), {values["errors_percent"]:g} % errors',
            arm=arm,
            **values,
        )


def figures(reading: ArmReading) -> dict[str, float]:
    """Return what was measured: ms, and percent of the requests that failed."""
    requests, failures = sum(reading.requests.values()), sum(reading.failures.values())
    times = np.array(reading.round_trips) * 1e3
    return {
        'readings': len(times),
        **{
            f'p{q}_ms': round(float(np.percentile(times, q)), 3)
            for q in _PERCENTILES
            if len(times)
        },
        'errors_percent': round(100 * failures / requests, 3) if requests else 0.0,
        'corrupt': reading.corrupt,
        **{
            f'servo_{servo}_errors_percent': round(100 * reading.failures.get(servo, 0) / count, 3)
            for servo, count in sorted(reading.requests.items())
        },
    }


def _said(reading: ArmReading) -> str:
    found = figures(reading)
    return ', '.join(f'{found[f"p{q}_ms"]:.2f}' for q in _PERCENTILES)


def _identities(reading: ArmReading) -> Iterator[Finding]:
    arm = reading.role
    if reading.shared:
        names = ', '.join(map(reading.name, reading.shared))
        yield DUPLICATE.finding(
            f'{arm} arm: more than one motor answers as {names}',
            arm=arm,
            ids=[str(servo) for servo in reading.shared],
        )
    if reading.missing:
        names = ', '.join(map(reading.name, reading.missing))
        heard = ', '.join(str(found.id) for found in reading.heard)
        yield MISSING.finding(
            f'{arm} arm: no answer from {names}; ids {heard} answer',
            arm=arm,
            ids=[str(servo) for servo in reading.missing],
        )
    if reading.foreign:
        names = ', '.join(map(str, reading.foreign))
        yield FOREIGN.finding(
            f'{arm} arm: id {names} answers, which is no joint of it',
            arm=arm,
            ids=[str(servo) for servo in reading.foreign],
        )


def _times(reading: ArmReading) -> Iterator[Finding]:
    if not reading.round_trips:
        return
    found = figures(reading)
    said = f'{reading.role} arm: {_said(reading)} ms (p50, p95, p99) to read all servos'
    if found['p50_ms'] > _SLOW_MS:
        yield SLOW.finding(said, arm=reading.role, **found)
    elif found['p99_ms'] > _UNSTEADY_MS:
        yield UNSTEADY.finding(said, arm=reading.role, **found)


def _failures(reading: ArmReading) -> Iterator[Finding]:
    requests, failures = sum(reading.requests.values()), sum(reading.failures.values())
    if not requests or failures / requests < _SOME:
        return
    worst = max(reading.failures, key=lambda servo: reading.failures[servo])
    found = figures(reading)
    kind = BROKEN if failures / requests >= _MANY else LOSSY
    yield kind.finding(
        f'{reading.role} arm: {found["errors_percent"]:.1f} % of {requests} requests failed, most '
        f'of {reading.name(worst)}, {found[f"servo_{worst}_errors_percent"]:.1f} %',
        arm=reading.role,
        worst=worst,
        **found,
    )
