"""Smoothness and tracking are those of known motions, and no pause is taken for a motion."""

import numpy as np
import pytest

from so101_episodes.motion_figures import Track, smoothness, tracking, travel

TICK = 1 / 30


def track(times: np.ndarray, column: np.ndarray, part: np.ndarray | None = None) -> Track:
    part = np.zeros(len(times), np.int64) if part is None else part
    return Track(times, np.stack([column, np.zeros_like(column)], axis=1), part)


TIMES = np.arange(0, 10, TICK)
NOTHING = track(np.empty(0), np.empty(0))


def test_a_steady_motion_has_no_differences_and_a_bent_one_those_of_its_polynomial() -> None:
    for value in smoothness(track(TIMES, 20 * TIMES)).values():
        assert value == pytest.approx(0, abs=1e-9)
    bent = smoothness(track(TIMES, 90 * TIMES**2))  # 180 degrees/s^2: 0.2 a tick and tick
    assert bent['change_p95_degrees'] == pytest.approx(0.2)
    assert bent['change_rms_degrees'] == pytest.approx(0.2)
    assert bent['jerk_rms_degrees'] == pytest.approx(0, abs=1e-9)
    cubic = smoothness(track(TIMES, 900 * TIMES**3))
    assert cubic['jerk_p95_degrees'] == pytest.approx(6 * 900 / 30**3)


def test_the_joints_count_together() -> None:
    both = Track(TIMES, np.stack([90 * TIMES**2] * 2, axis=1), np.zeros(len(TIMES), np.int64))
    assert smoothness(both)['change_rms_degrees'] == pytest.approx(0.2 * np.sqrt(2))


@pytest.mark.parametrize('shift', [5.0, 1e7, -20.0])
def test_neither_a_pause_nor_a_clock_that_jumps_is_a_motion(shift: float) -> None:
    late = TIMES >= 5
    times = TIMES + shift * late
    column = 20 * TIMES + 50 * late
    part = late.astype(np.int64)
    for value in smoothness(track(times, column, part)).values():
        assert value == pytest.approx(0, abs=1e-6)
    told = track(times, column, part)
    off = tracking(track(times, column + 1, part), told)
    assert off['tracking_max_degrees'] == pytest.approx(1)


def test_tracking_compares_at_the_same_time() -> None:
    measured = track(TIMES + TICK / 3, 30 * TIMES)  # a third of a tick late
    off = tracking(measured, track(TIMES, 30 * TIMES))
    assert off['tracking_max_degrees'] == pytest.approx(1 / 3)
    assert off['tracking_rms_degrees'] == pytest.approx(1 / 3 / np.sqrt(2))  # of two joints


def test_travel_is_the_range_of_the_joint_that_moved_most() -> None:
    assert travel(track(TIMES, 10 * np.sin(TIMES))) == pytest.approx(20, abs=0.01)


def test_of_nothing_nothing_is_known() -> None:
    assert set(smoothness(NOTHING).values()) == {None}
    assert set(smoothness(track(TIMES[:2], TIMES[:2])).values()) == {None}
    assert set(tracking(NOTHING, NOTHING).values()) == {None}
    assert set(tracking(track(TIMES, TIMES), NOTHING).values()) == {None}
    assert travel(NOTHING) is None
