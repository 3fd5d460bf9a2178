"""A LeRobot dataset: whether it is whole, and has the robot's cameras and rate."""

from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_node.error import UserError

AREA = 'dataset'

INVALID = error(
    'dataset.invalid',
    'The folder holds no dataset of LeRobot 0.6 (v3.0), or its description is broken.',
    'give the folder with meta/info.json in it, or copy the dataset again',
)
INCOMPLETE = error(
    'dataset.incomplete',
    'Files that its description names are not there: it was copied in part.',
    'copy it again, for example with rsync',
)
CAMERAS = error(
    'dataset.cameras',
    'The robot has cameras that the dataset has not: a policy trained on it would be blind there.',
    'train on other episodes, or take the camera out of the robot file',
)
RATE = warning(
    'dataset.rate',
    'Its frames are not 30 a second, as the cameras make and the policy acts.',
    'convert the recordings again, without --fps',
)

_FPS = 30.0


def find(subject: Subject) -> Iterator[Finding]:
    if subject.dataset is None:
        yield skipped(AREA, 'none was given: --dataset FOLDER')
        return
    # pyarrow takes a second, which only who asks should wait.
    from so101_training.checks.dataset import Dataset

    folder = subject.dataset
    try:
        dataset = Dataset(folder)
    except UserError as problem:
        yield INVALID.finding(str(problem), folder=str(folder))
        return
    found = []
    files = {dataset.data(*episode.data) for episode in dataset.episodes.values()}
    for episode in dataset.episodes.values():
        files |= {
            dataset.video(camera, place[0], place[1]) for camera, place in episode.videos.items()
        }
    gone = sorted(str(file.relative_to(folder)) for file in files if not file.is_file())
    if gone:
        found.append(
            INCOMPLETE.finding(
                f'{folder}: {len(gone)} of {len(files)} files are missing, {gone[0]} first',
                folder=str(folder),
                missing=gone,
            )
        )
    lacking = [camera for camera in subject.robot.cameras if camera not in dataset.videos]
    if lacking:
        found.append(
            CAMERAS.finding(
                f'{folder} has no {" and no ".join(lacking)} camera; it has '
                f'{", ".join(dataset.videos) or "none"}',
                folder=str(folder),
                missing=lacking,
            )
        )
    if dataset.fps != _FPS:
        found.append(RATE.finding(f'{folder}: {dataset.fps:g} a second', fps=dataset.fps))
    yield from found
    if not found:
        yield sound(
            AREA,
            f'{folder}: {len(dataset.episodes)} episodes, {", ".join(dataset.videos)}, '
            f'{dataset.fps:g} frames/s; ./so101 check {folder} looks at the pictures',
            folder=str(folder),
            episodes=len(dataset.episodes),
        )
