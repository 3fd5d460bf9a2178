"""The robot file itself."""

from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.subject import Subject

AREA = 'robot'

INVALID = error(
    'robot.invalid',
    'The robot file cannot be read; the message names the line. All else is held against the '
    'defaults.',
    'mend that line, or make a file anew: ./so101 robot',
)
NONE = warning(
    'robot.none',
    'There is no robot file, so ports and cameras are guessed.',
    './so101 robot --write robot.yaml makes one of what is plugged in',
)


def find(subject: Subject) -> Iterator[Finding]:
    robot = subject.robot
    if subject.invalid:
        yield INVALID.finding(subject.invalid)
    elif robot.path is None:
        yield NONE.finding('no robot.yaml here: the defaults are examined')
    else:
        cameras = ', '.join(
            f'{name} camera by {setting.source}' for name, setting in robot.cameras.items()
        )
        yield sound(AREA, f'{robot.path}: {cameras}', file=str(robot.path))
