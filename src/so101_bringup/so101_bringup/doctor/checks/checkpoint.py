"""The policy's checkpoint: whether it can be read, and fits the robot."""

from collections.abc import Iterator
from pathlib import Path

from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_node.error import UserError
from so101_policy import checkpoint
from so101_policy.checkpoint import WEIGHTS

AREA = 'checkpoint'

MISSING = warning(
    'checkpoint.missing',
    'The robot file names a checkpoint that is not there. Only infer and evaluate need one.',
    'train one (./so101 train), or correct checkpoint in the robot file',
)
INVALID = error(
    'checkpoint.invalid',
    'The checkpoint cannot be used: a file is missing or broken, or it does not fit the robot.',
    'copy it again, whole; or see what the message asks for',
)
CAMERAS = error(
    'checkpoint.cameras',
    'The policy needs a camera that the robot has not.',
    'add the camera to the robot file, or train without it: --exclude-cameras',
)
UNTRAINED = error(
    'checkpoint.untrained',
    'Its weights are random: it is for the simulation.',
    'give a trained one',
)
DOUBTFUL = warning(
    'checkpoint.doubtful',
    'Something about it is probably, not certainly, wrong: units, names, statistics, image sizes.',
    'see docs/training.md before the arm follows it',
)


def find(subject: Subject) -> Iterator[Finding]:
    folder = Path(subject.robot.checkpoint)
    if not folder.exists():
        if subject.is_default:
            yield skipped(AREA, f'none yet at {folder}')
        else:
            yield MISSING.finding(f'there is no {folder}', folder=str(folder))
        return
    try:
        found = checkpoint.read(folder)
    except UserError as problem:
        yield INVALID.finding(str(problem), folder=str(folder))
        return
    findings = []
    try:
        found.check_cameras(subject.robot.cameras)
    except UserError as problem:
        findings.append(CAMERAS.finding(str(problem), folder=str(folder)))
    if not found.trained:
        findings.append(UNTRAINED.finding(f'{folder} is untrained', folder=str(folder)))
    findings += [DOUBTFUL.finding(doubt, folder=str(folder)) for doubt in found.doubts]
    yield from findings
    if not findings:
        size = (found.path / WEIGHTS).stat().st_size / 1e6
        yield sound(
            AREA,
            f'{found.type} of {size:.0f} MB, for the {" and ".join(found.cameras)} camera',
            folder=str(folder),
            type=found.type,
            cameras=list(found.cameras),
            size_mb=round(size, 1),
        )
