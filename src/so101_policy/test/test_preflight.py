"""What does not fit this moment is found before the arm moves, and says what to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_cameras.image_health import Fault, Kind
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import HOME, JOINTS
from so101_description.units import radians_to_dataset
from so101_policy import checkpoint
from so101_policy.checkpoint import Checkpoint
from so101_policy.feature_statistics import Statistics
from so101_policy.observation import Observation
from so101_policy.preflight import Finding, Severity, check

LOW = (-60.0, -104.0, -30.0, -40.0, 60.0, 2.0)
HIGH = (60.0, 40.0, 96.0, 90.0, 120.0, 80.0)
TASKS = ('Pick up the cube', 'Open the drawer')
CHECKPOINT = Checkpoint(
    path=Path('checkpoint'),
    type='smolvla',
    cameras=tuple(CAMERAS),
    chunk_size=50,
    fps=30.0,
    trained=True,
    vlm=None,
    preprocessor_steps=(),
    tasks=TASKS,
    state=Statistics({'min': LOW, 'max': HIGH}),
    action=None,
    images={'wrist': Statistics({'mean': (0.3, 0.4, 0.5), 'std': (0.2, 0.2, 0.2)})},
    doubts=(),
)
WRIST = (76, 102, 128)
STATE = (0.0, -90.0, 90.0, 50.0, 90.0, 5.0)


def seen(
    wrist: tuple[int, int, int] = WRIST, overhead: int = 128, state: Any = STATE
) -> Observation:
    images = {camera: np.full(IMAGE_SHAPE, overhead, np.uint8) for camera in CAMERAS}
    images['wrist'][:] = wrist
    return Observation(images=images, state=np.array(state, float), captured=0)


FITS = seen()


def only(findings: list[Finding]) -> tuple[Severity, str]:
    (finding,) = findings
    assert '\n' not in finding.text
    return finding.severity, finding.text


def test_what_fits_gives_no_finding() -> None:
    assert check(CHECKPOINT, seen(), TASKS[0], 30.0) == []


def test_an_untrained_one_from_home_warns_of_nothing_else(smolvla: Path) -> None:
    found = checkpoint.read(smolvla)
    severity, text = only(check(found, seen(state=radians_to_dataset(HOME)), 'Anything', 30.0))
    assert severity is Severity.WARN
    assert 'the weights are random' in text


def test_what_the_files_left_in_doubt_is_said_again_before_moving() -> None:
    doubtful = replace(CHECKPOINT, doubts=('units?',))
    assert only(check(doubtful, seen(), TASKS[0], 30.0)) == (Severity.WARN, 'units?')


def test_another_rate_than_in_training_is_refused() -> None:
    severity, text = only(check(CHECKPOINT, seen(), TASKS[0], 60.0))
    assert severity is Severity.REFUSE
    assert '60 actions per second, but trained on 30' in text
    assert '2 times as fast' in text


def test_an_unknown_rate_is_said() -> None:
    severity, text = only(check(replace(CHECKPOINT, fps=None), seen(), TASKS[0], 30.0))
    assert severity is Severity.WARN
    assert '30 per second' in text


@pytest.mark.parametrize('task', ['', ' \n'])
def test_an_empty_task_is_refused(task: str) -> None:
    severity, text = only(check(CHECKPOINT, seen(), task, 30.0))
    assert severity is Severity.REFUSE
    assert 'the task is empty' in text


def test_another_task_warns_with_the_nearest_of_training() -> None:
    severity, text = only(check(CHECKPOINT, seen(), 'pick the cube up', 30.0))
    assert severity is Severity.WARN
    assert "'pick the cube up' is none of the 2 of training" in text
    assert "the nearest is 'Pick up the cube'" in text
    assert check(replace(CHECKPOINT, tasks=()), seen(), 'pick the cube up', 30.0) == []


def test_space_around_a_task_is_no_difference() -> None:
    assert check(CHECKPOINT, seen(), f'{TASKS[1]}\n', 30.0) == []


@pytest.mark.parametrize(
    ('pan', 'severity'),
    [(64.9, None), (65.1, Severity.WARN), (79.9, Severity.WARN), (80.1, Severity.REFUSE)],
)
def test_a_start_outside_of_training(pan: float, severity: Severity | None) -> None:
    findings = check(CHECKPOINT, seen(state=(pan, *STATE[1:])), TASKS[0], 30.0)
    if severity is None:
        assert findings == []
        return
    found, text = only(findings)
    assert found is severity
    assert f'shoulder_pan starts at {pan} degrees' in text
    assert 'within -60.0 and 60.0' in text


def test_a_range_guessed_of_mean_and_std_refuses_nothing() -> None:
    guessed = Statistics({'mean': STATE, 'std': (1.0,) * 6})
    findings = check(
        replace(CHECKPOINT, state=guessed), seen(state=(90.0, *STATE[1:])), TASKS[0], 30.0
    )
    severity, text = only(findings)
    assert severity is Severity.WARN
    assert 'mean and std of training suggest that it stayed within -3.0 and 3.0' in text


@given(
    joint=st.integers(0, 5),
    state=st.tuples(*(st.floats(-300, 300) for _ in JOINTS)),
    nearer=st.floats(0, 1),
)
def test_a_start_nearer_to_training_is_never_judged_worse(
    joint: int, state: tuple[float, ...], nearer: float
) -> None:
    def weight(value: float) -> int:
        moved = [*state]
        moved[joint] = value
        findings = check(CHECKPOINT, replace(FITS, state=np.array(moved)), TASKS[0], 30.0)
        return sum(2 if f.severity is Severity.REFUSE else 1 for f in findings)

    middle = (LOW[joint] + HIGH[joint]) / 2
    assert weight(middle + nearer * (state[joint] - middle)) <= weight(state[joint])


@pytest.mark.parametrize(
    ('pixels', 'text'), [(0, 'the overhead image is black'), (255, 'the overhead image is white')]
)
def test_a_black_or_white_image_is_refused_without_statistics(pixels: int, text: str) -> None:
    severity, found = only(check(CHECKPOINT, seen(overhead=pixels), TASKS[0], 30.0))
    assert severity is Severity.REFUSE
    assert text in found


@pytest.mark.parametrize('pixels', [17, 128, 247])
def test_without_statistics_any_other_brightness_will_do(pixels: int) -> None:
    assert check(CHECKPOINT, seen(overhead=pixels), TASKS[0], 30.0) == []


@pytest.mark.parametrize(
    ('wrist', 'text'),
    [
        ((40, 60, 90), 'darker than in training: green 0.24 of 1, training 0.40 +- 0.10'),
        ((76, 140, 128), 'brighter than in training: green 0.55 of 1, training 0.40 +- 0.10'),
        (WRIST[::-1], 'brighter than in training: red 0.50 of 1'),  # bgr8 taken for rgb8
    ],
)
def test_another_brightness_or_colour_than_in_training_warns(
    wrist: tuple[int, int, int], text: str
) -> None:
    severity, found = only(check(CHECKPOINT, seen(wrist), TASKS[0], 30.0))
    assert severity is Severity.WARN
    assert f'the wrist image is {text}' in found


@pytest.mark.parametrize(
    ('kind', 'severity'),
    [
        (Kind.FROZEN, Severity.REFUSE),
        (Kind.SIZE, Severity.REFUSE),
        (Kind.SLOW, Severity.WARN),
        (Kind.DRIFT, Severity.WARN),
    ],
)
def test_a_camera_that_shows_nothing_refuses_and_one_that_is_slow_or_drifts_warns(
    kind: Kind, severity: Severity
) -> None:
    fault = Fault(kind, 0, 'the wrist camera is odd')
    found, text = only(check(CHECKPOINT, seen(), TASKS[0], 30.0, [fault]))
    assert found is severity
    assert text == str(fault)


def test_a_black_image_is_refused_once() -> None:
    fault = Fault(Kind.BLACK, 0, 'the overhead picture is black')
    severity, _ = only(check(CHECKPOINT, seen(overhead=0), TASKS[0], 30.0, [fault]))
    assert severity is Severity.REFUSE


def test_refusals_come_first() -> None:
    findings = check(CHECKPOINT, seen((20, 20, 20), overhead=0), 'another', 60.0)
    order = [finding.severity for finding in findings]
    assert order == [Severity.REFUSE] * 2 + [Severity.WARN] * 2
