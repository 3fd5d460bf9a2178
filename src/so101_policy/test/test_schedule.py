"""Actions keep their time, and inferences start on their tick."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from so101_policy.schedule import Schedule, timed, upcoming

OBSERVED = 1_700_000_000_123_456_789
MS = 1_000_000

rates = st.sampled_from([10.0, 30.0, 50.0, 59.94])


def actions(count: int) -> np.ndarray:
    """Return actions that carry their own number."""
    return np.repeat(np.arange(count, dtype=float)[:, None], 6, axis=1)


@given(rates, st.integers(1, 120), st.floats(-1, 6))
def test_every_action_that_goes_out_lies_in_the_future_at_its_own_time(
    fps: float, count: int, delay: float
) -> None:
    now = OBSERVED + round(delay * 1e9)
    ahead = upcoming(timed(actions(count), OBSERVED, fps), now)
    assert len(ahead.times) == len(ahead.actions)
    for time, action in zip(ahead.times, ahead.actions, strict=True):
        assert time > now
        assert time == OBSERVED + round(action[0] * 1e9 / fps)
    assert list(ahead.times) == sorted(set(ahead.times))
    # Nothing that was still possible is left out.
    assert len(ahead.times) == sum(OBSERVED + round(i * 1e9 / fps) > now for i in range(count))


def test_a_chunk_that_comes_after_its_last_action_is_empty() -> None:
    assert upcoming(timed(actions(50), OBSERVED, 30.0), OBSERVED + 1634 * MS).times == ()


def test_nothing_is_due_before_start_and_after_stop() -> None:
    schedule = Schedule(30.0, 25)
    assert not schedule.is_due(OBSERVED)
    schedule.start(OBSERVED)
    assert schedule.is_due(OBSERVED)
    schedule.stop()
    assert not schedule.is_due(OBSERVED)


def test_images_from_before_the_start_are_not_observed() -> None:
    schedule = Schedule(30.0, 25)
    schedule.start(OBSERVED)
    assert not schedule.is_due(OBSERVED - 20 * MS)


@given(rates, st.integers(1, 50), st.lists(st.floats(-0.24, 0.24), min_size=200, max_size=200))
def test_observations_are_a_horizon_of_frames_apart_however_the_camera_jitters(
    fps: float, horizon: int, jitter: list[float]
) -> None:
    schedule = Schedule(fps, horizon)
    schedule.start(OBSERVED + MS)
    observed = []
    for frame, early in enumerate(jitter):
        captured = OBSERVED + round((frame + early) * 1e9 / fps)
        if schedule.is_due(captured):
            schedule.observed(captured)
            observed.append(frame)
    assert observed == list(range(0, len(jitter), horizon))
