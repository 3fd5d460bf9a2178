"""The disk of the recordings: room, speed, permission."""

from collections.abc import Iterator
from pathlib import Path

from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.subject import Subject

AREA = 'disk'

FORBIDDEN = error(
    'disk.forbidden',
    'Nothing can be written where the recordings are to go.',
    'sudo chown $USER {folder}, or name another folder in the robot file',
)
FULL = error(
    'disk.full',
    'There is room for a few minutes of recording at most.',
    'delete or move recordings, or name a folder on another disk in the robot file',
)
LOW = warning(
    'disk.low',
    'There is room for less than two hours of recording: 75 demonstrations with their dataset and '
    'checkpoints need more.',
    'make room, or name a folder on another disk in the robot file',
)
SLOW = warning(
    'disk.slow',
    'The disk writes slowly: a network folder, an SD card, or a disk that fails. The recorder may '
    'lose messages.',
    'record to an internal disk',
)

# Bytes that are written, and the speed in bytes/s below which the disk is slow: ten times what the
# recorder writes.
SIZE = 64 << 20
_SLOW = 20e6

# Bytes a second of an episode: for each camera 30 JPEG images of 60 kB, the arm's states and
# references 200 times a second.
_CAMERA = 30 * 60_000
_ARM = 200_000

# Minutes.
_FULL = 10.0
_LOW = 120.0


def find(subject: Subject) -> Iterator[Finding]:
    machine, folder = subject.machine, Path(subject.robot.recordings).absolute()
    there = folder
    while not machine.path(there).is_dir():  # the recorder makes the rest
        there = there.parent
    values = {'folder': str(folder)}
    free = machine.free_bytes(str(there))
    assert free is not None  # it is a folder
    rate = len(subject.robot.cameras) * _CAMERA + _ARM
    minutes = free / rate / 60
    room = f'{free / 1e9:.1f} GB free for {folder}: {minutes:.0f} minutes of recording'
    found = []
    if minutes < _FULL:
        found.append(FULL.finding(room, free_bytes=free, minutes=round(minutes), **values))
    elif minutes < _LOW:
        found.append(LOW.finding(room, free_bytes=free, minutes=round(minutes), **values))
    speed = ''
    if free > 4 * SIZE:
        try:
            rate_written = SIZE / machine.write_seconds(str(there), SIZE)
        except OSError as problem:
            found.append(FORBIDDEN.finding(f'{there}: {problem.strerror}', **values))
        else:
            speed = f', {rate_written / 1e6:.0f} MB/s'
            if rate_written < _SLOW:
                found.append(
                    SLOW.finding(
                        f'{there}: {rate_written / 1e6:.1f} MB/s, {_SLOW / 1e6:.0f} are wanted',
                        bytes_per_second=round(rate_written),
                        **values,
                    )
                )
    yield from found
    if not found:
        yield sound(AREA, f'{room}{speed}', free_bytes=free, minutes=round(minutes), **values)
