"""What is checked before a policy moves the arm: this moment held against its training.

What can be told from the checkpoint's files alone is checked when they are read, in checkpoint.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image_health import Fault, Kind
from so101_cameras.picture_health import look
from so101_description.joints import GRIPPER, JOINTS
from so101_policy.checkpoint import Checkpoint
from so101_policy.feature_statistics import Statistics
from so101_policy.observation import Observation

# Dataset units (degrees, gripper 0 to 100). How far beyond the range of its training a joint may
# start: a policy follows a small step outside; a large one it has never seen the way back from.
START_WARN = 5.0
START_REFUSE = 20.0

# How far a camera's mean may be from that of training, in standard deviations of the training's
# pixels. Those are about 0.2 of full scale: the limit is 25 of 255, a lamp switched off or on.
BRIGHTNESS_WARN = 0.5

# Every eighth pixel each way: 4800 of an image, enough for its mean.
_STRIDE = 8
_COLOURS = ('red', 'green', 'blue')


class Severity(Enum):
    REFUSE = 'refuse'  # the policy would do harm or nothing of use
    WARN = 'warn'  # a user may mean it


@dataclass(frozen=True)
class Finding:
    """One line: which value, which limit, what to do."""

    severity: Severity
    text: str


def check(
    checkpoint: Checkpoint,
    observation: Observation,
    task: str,
    fps: float,
    faults: Iterable[Fault] = (),
) -> list[Finding]:
    """Return what does not fit, the refusals first.

    `fps` is the rate the actions will run at, `faults` what was wrong with the images that came.
    """
    findings = [
        *(Finding(Severity.WARN, doubt) for doubt in checkpoint.doubts),
        *_training(checkpoint),
        *_rate(checkpoint.fps, fps),
        *_task(checkpoint.tasks, task),
        *_start(checkpoint.state, observation.state),
        *_brightness(checkpoint.images, observation.images),
        *_cameras(faults),
    ]
    return sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)


def _training(checkpoint: Checkpoint) -> list[Finding]:
    if checkpoint.trained:
        return []
    return [Finding(Severity.WARN, 'the weights are random, never trained: for simulation only')]


def _rate(trained: float | None, fps: float) -> list[Finding]:
    if trained is None:
        text = (
            f'the checkpoint does not say its rate; its actions run at {fps:g} per second. '
            'Write "fps" into its so101.json'
        )
        return [Finding(Severity.WARN, text)]
    if trained != fps:
        text = (
            f'{fps:g} actions per second, but trained on {trained:g}: '
            f'the arm would move {fps / trained:.2g} times as fast; set fps to {trained:g}'
        )
        return [Finding(Severity.REFUSE, text)]
    return []


def _task(known: tuple[str, ...], task: str) -> list[Finding]:
    asked = task.strip()
    if not asked:
        return [Finding(Severity.REFUSE, 'the task is empty; publish one on policy/task')]
    if not known or asked in {one.strip() for one in known}:
        return []
    nearest = get_close_matches(asked, known, n=1, cutoff=0.0)[0]
    text = (
        f'the task {asked!r} is none of the {len(known)} of training; '
        f'the nearest is {nearest!r}: publish that on policy/task if it is meant'
    )
    return [Finding(Severity.WARN, text)]


def _start(statistics: Statistics | None, state: NDArray[np.float64]) -> list[Finding]:
    span = statistics.span() if statistics else None
    if span is None:
        return []
    findings = []
    outside = np.maximum(span.low - state, state - span.high)
    for i, joint in enumerate(JOINTS):
        if outside[i] <= START_WARN:
            continue
        # A guessed range refuses nothing.
        certain = span.measured and outside[i] > START_REFUSE
        unit = ' %' if i == GRIPPER else ' degrees'
        text = (
            f'{joint} starts at {state[i]:.1f}{unit}, '
            f'{"training" if span.measured else "mean and std of training suggest that it"} '
            f'stayed within {span.low[i]:.1f} and {span.high[i]:.1f}; start nearer to that'
        )
        findings.append(Finding(Severity.REFUSE if certain else Severity.WARN, text))
    return findings


def _brightness(
    training: Mapping[str, Statistics], images: Mapping[str, NDArray[np.uint8]]
) -> list[Finding]:
    findings = []
    for camera, image in images.items():
        means = image[::_STRIDE, ::_STRIDE].mean(axis=(0, 1)) / 255
        seen = look(image)
        if seen.is_black or seen.is_white:
            findings.append(_blank(camera, seen.is_black, seen.brightness))
        elif camera in training:
            findings += _against_training(camera, means, training[camera])
    return findings


def _blank(camera: str, black: bool, brightness: float) -> Finding:
    name, cure = ('black', 'is its lens covered?') if black else ('white', 'is it dazzled?')
    text = (
        f'the {camera} image is {name}: brightness {brightness:.0f} of 255; {cure} '
        'Check light and exposure'
    )
    return Finding(Severity.REFUSE, text)


def _cameras(faults: Iterable[Fault]) -> list[Finding]:
    """Judge what one image does not tell; that it is black or white, it does."""
    return [
        Finding(Severity.REFUSE if fault.kind.blind else Severity.WARN, str(fault))
        for fault in faults
        if fault.kind not in (Kind.BLACK, Kind.WHITE)
    ]


def _against_training(
    camera: str, means: NDArray[np.float64], statistics: Statistics
) -> list[Finding]:
    """Compare per colour, so that a changed white balance shows as well as a changed light."""
    mean, std = statistics.get('mean'), statistics.get('std')
    if mean is None or std is None:
        return []
    allowed = BRIGHTNESS_WARN * std
    i = int(np.argmax(np.abs(means - mean) - allowed))
    if abs(means[i] - mean[i]) <= allowed[i]:
        return []
    text = (
        f'the {camera} image is {"brighter" if means[i] > mean[i] else "darker"} than in training:'
        f' {_COLOURS[i]} {means[i]:.2f} of 1, training {mean[i]:.2f} +- {allowed[i]:.2f}; '
        'check light, exposure and white balance'
    )
    return [Finding(Severity.WARN, text)]
