"""Predicted against recorded: times, what is compared, means."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_episodes.series import Series
from so101_evaluation.prediction_error import Prediction, PredictionError

START = 1_700_000_000_000_000_000
PERIOD = 33_333_333
SECOND = 1_000_000_000

# One joint's straight line: where it is at START, and how fast it goes.
LINES = st.tuples(st.floats(-100, 100), st.floats(-50, 50))


def on_lines(lines: list[tuple[float, float]], times: np.ndarray) -> np.ndarray:
    seconds = (times - START) * 1e-9
    return np.stack([at + speed * seconds for at, speed in lines], axis=1)


def recording(lines: list[tuple[float, float]], seconds: float, period: int = 7_000_000) -> Series:
    times = np.arange(START, START + round(seconds * SECOND) + 1, period)
    return Series(times, on_lines(lines, times))


@given(
    lines=st.lists(LINES, min_size=6, max_size=6),
    offsets=st.lists(st.floats(-20, 20), min_size=6, max_size=6),
    after=st.integers(0, SECOND),
)
def test_a_constant_offset_is_the_error_wherever_the_chunk_lies(
    lines: list[tuple[float, float]], offsets: list[float], after: int
) -> None:
    observed = START + after
    times = observed + np.arange(20) * PERIOD
    chunk = Prediction(observed, PERIOD, on_lines(lines, times) + offsets)
    error = PredictionError([chunk], recording(lines, seconds=2.0))
    assert error.compared == 20
    np.testing.assert_allclose(error.per_joint(), np.abs(offsets), atol=1e-6)
    np.testing.assert_allclose(error.over_horizon(), [np.abs(offsets)] * 20, atol=1e-6)


def test_actions_outside_the_recording_are_not_compared() -> None:
    still = [(0.0, 0.0)] * 6
    recorded = recording(still, seconds=1.0, period=PERIOD)
    end = int(recorded.times[-1])
    near = Prediction(end - 2 * PERIOD, PERIOD, np.full((5, 6), 1.0))
    early = Prediction(START - 3 * PERIOD, PERIOD, np.full((5, 6), 3.0))
    error = PredictionError([near, early], recorded)
    assert error.compared == 3 + 2
    np.testing.assert_allclose(error.per_joint(), (3 * 1.0 + 2 * 3.0) / 5)
    np.testing.assert_allclose(error.over_horizon()[:, 0], [1.0, 1.0, 1.0, 3.0, 3.0])


def test_a_horizon_that_was_never_recorded_has_no_error() -> None:
    recorded = recording([(0.0, 0.0)] * 6, seconds=1.0, period=PERIOD)
    late = Prediction(int(recorded.times[-1]), PERIOD, np.zeros((3, 6)))
    over_horizon = PredictionError([late], recorded).over_horizon()
    assert np.isfinite(over_horizon[0]).all()
    assert np.isnan(over_horizon[1:]).all()


def test_coverage_is_the_time_that_chunks_reach() -> None:
    recorded = recording([(0.0, 0.0)] * 6, seconds=99 * PERIOD / SECOND, period=PERIOD)
    half = [Prediction(START + i * PERIOD, PERIOD, np.zeros((10, 6))) for i in (0, 5, 20, 75)]
    covered = set(range(15)) | set(range(20, 30)) | set(range(75, 85))
    error = PredictionError(half, recorded)
    assert error.coverage() == pytest.approx(len(covered) / len(recorded.times))


def test_it_needs_no_rclpy() -> None:
    code = "import sys; sys.modules['rclpy'] = None; import so101_evaluation.prediction_error"
    subprocess.run([sys.executable, '-c', code], check=True)
