"""The system clock: set by the network, and not jumping."""

from collections.abc import Iterator
from datetime import UTC, datetime

from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.machine import Instant
from so101_bringup.doctor.subject import Subject

AREA = 'clock'

UNSYNCHRONISED = warning(
    'clock.unsynchronised',
    'The clock is not set by the network: images of another computer seem too old, or to come '
    'from the future.',
    'sudo timedatectl set-ntp true; without internet, chrony between the computers',
)
JUMPED = error(
    'clock.jumped',
    'The clock was set while the doctor looked: a recording would be torn there.',
    'let the clock come to rest after the start; see that one program alone sets it',
)
WRONG = error(
    'clock.wrong',
    'The clock is years behind: its battery is empty, and no network has set it.',
    'sudo timedatectl set-ntp true, or sudo date -s; then change the battery',
)

# Nanoseconds. chrony and timesyncd slew by 0.5 ms/s at most; a step is larger.
_JUMP = 50_000_000

# This suite was not there before.
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def find(subject: Subject) -> Iterator[Finding]:
    now = subject.machine.now()
    found = list(judged(subject.started, now))
    asked = subject.machine.run('timedatectl', 'show', '--property=NTPSynchronized', '--value')
    said = asked.text if asked and asked.code == 0 else ''
    if said == 'no':
        found.append(UNSYNCHRONISED.finding('timedatectl: not synchronised'))
    yield from found
    if not found:
        seconds = (now.steady - subject.started.steady) / 1e9
        if said == 'yes':
            yield sound(AREA, f'synchronised, and no jump in {seconds:.0f} s')
        else:
            yield skipped(AREA, f'no jump in {seconds:.0f} s; no timedatectl to ask who sets it')


def judged(before: Instant, after: Instant) -> Iterator[Finding]:
    """Compare what passed by the system clock and by the one that nobody can set."""
    jump = (after.system - before.system) - (after.steady - before.steady)
    if abs(jump) > _JUMP:
        yield JUMPED.finding(f'it was set by {jump / 1e9:+.3f} s', jump_s=jump / 1e9)
    date = datetime.fromtimestamp(after.system / 1e9, UTC)
    if date < _FIRST:
        yield WRONG.finding(f'it says {date:%Y-%m-%d}', date=f'{date:%Y-%m-%d}')
