"""Actions keep their time, inferences start on their tick, chunks go over into each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_description.joints import GRIPPER
from so101_policy.plan import Limits
from so101_policy.schedule import Mode, Schedule

START = 1_700_000_000_123_456_789
FPS = 30
TICK = 1_000_000_000 / FPS
LIMITS = Limits(3.0, 15.0, 400.0)
REST = np.zeros(6)


def tick(number: float) -> int:
    return START + round(number * TICK)


def schedule(mode: Mode = Mode.RTC, interval: int = 10) -> Schedule:
    made = Schedule(FPS, mode, LIMITS, interval)
    made.start(START, REST)
    return made


def ramp(first: float, count: int = 50) -> Any:
    """Return actions of a slow ramp of all joints that passes 0 at START; `first` in ticks."""
    return np.repeat(0.01 * (first + np.arange(count))[:, None], 6, axis=1)


def constant(value: float, count: int = 50) -> Any:
    return np.full((count, 6), value)


def test_an_action_is_executed_at_its_own_time_whenever_its_chunk_comes() -> None:
    for delay in (0.0, 3.7, 12.2):
        made = schedule()
        made.ask(tick(0))
        plan = made.answer(ramp(0), tick(delay))
        assert plan is not None
        later = [tick(n) for n in range(30, 45)]
        np.testing.assert_allclose(plan.at(later)[:, 0], 0.01 * np.arange(30, 45), atol=2e-3)


def test_without_a_next_chunk_the_arm_comes_to_rest_behind_the_last_action() -> None:
    made = schedule()
    made.ask(tick(0))
    plan = made.answer(ramp(0), tick(3))
    assert plan is not None
    assert not made.starving(tick(49))
    assert made.starving(tick(49.1))
    assert tick(49) < plan.end < tick(65)
    assert not plan.velocities[-1].any()


def test_a_chunk_that_is_past_as_a_whole_changes_nothing() -> None:
    made = schedule()
    made.ask(tick(0))
    before = made.plan
    assert made.answer(ramp(0), tick(49)) is None
    assert made.plan is before
    assert made.is_due(tick(50))


def test_what_nobody_asked_for_is_not_heard() -> None:
    made = schedule()
    assert made.answer(ramp(0), tick(1)) is None
    made.ask(tick(2))
    made.forget(tick(3))
    assert made.answer(ramp(2), tick(4)) is None
    assert made.is_due(tick(4))
    made.stop()
    assert not made.is_due(tick(5))


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([1, 7, 25]), st.lists(st.floats(-0.2, 0.2), min_size=90, max_size=90))
def test_observations_keep_their_interval_in_spite_of_jitter(
    interval: int, jitter: list[float]
) -> None:
    made = schedule(interval=interval)
    asked = []
    for number, off in enumerate(jitter):
        captured = tick(number + off)
        if made.is_due(captured):
            made.ask(captured)
            made.answer(ramp(number), captured + 1)
            asked.append(number)
    assert asked == list(range(0, 90, interval))


def test_nothing_is_asked_while_an_inference_is_under_way() -> None:
    made = schedule(interval=5)
    made.ask(tick(0))
    assert not made.is_due(tick(20))
    made.answer(ramp(0), tick(21))
    assert made.is_due(tick(22))


def test_guidance_is_what_was_published_and_the_delay_what_was_measured() -> None:
    made = schedule()
    assert made.ask(tick(0)) is None, 'nothing was measured yet'
    plan = made.answer(ramp(0), tick(3.5))
    assert plan is not None
    guidance = made.ask(tick(10))
    assert guidance is not None
    assert guidance.delay == 4
    assert len(guidance.prefix) == 40, 'actions 10 to 49'
    np.testing.assert_allclose(guidance.prefix, plan.at([tick(10 + n) for n in range(40)]))


def test_the_way_to_rest_is_decided_only_for_as_long_as_an_inference_takes() -> None:
    made = schedule()
    made.ask(tick(0))
    made.answer(ramp(0), tick(4))
    made.brake(tick(6))
    guidance = made.ask(tick(20))
    assert guidance is not None
    assert len(guidance.prefix) == guidance.delay == 4
    assert np.ptp(guidance.prefix, axis=0).max() < 1e-9, 'by then the arm stands'


def test_a_delay_longer_than_a_chunk_gives_no_guidance_and_one_of_the_future_none_below_0() -> (
    None
):
    made = schedule()
    made.ask(tick(0))
    assert made.answer(ramp(0), tick(60)) is None
    assert made.ask(tick(61)) is None
    made = schedule()
    made.ask(tick(4))
    made.answer(ramp(0), tick(0))
    guidance = made.ask(tick(10))
    assert guidance is not None
    assert guidance.delay == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 60), st.floats(0.999, 1.001))
def test_a_chunk_that_leaves_about_one_action_is_late_or_followed(count: int, left: float) -> None:
    for mode in Mode:
        made = schedule(mode)
        made.ask(tick(0))
        made.answer(ramp(0, count), tick(count - 1 - left))


def test_a_spike_is_forgotten() -> None:
    made = schedule(interval=1)
    for number in range(60):
        made.ask(tick(number * 40))
        made.answer(ramp(0), tick(number * 40 + (30 if number == 5 else 3)))
        guidance = made.ask(tick(number * 40 + 35))
        assert guidance is not None
        assert guidance.delay <= (30 if 5 <= number < 15 else 3)
        made.forget(tick(number * 40 + 36))


def test_a_difference_is_faded_out_but_for_the_grippers() -> None:
    made = schedule()
    made.ask(tick(0))
    made.answer(constant(0.0), tick(2))
    made.ask(tick(10))
    plan = made.answer(constant(0.1), tick(12))
    assert plan is not None
    way = plan.at([tick(12 + n) for n in range(25)])
    assert np.abs(way[0]).max() < 0.005
    assert way[-1] == pytest.approx(0.1, abs=1e-3)
    second = np.abs(np.diff(way[:, 0], 2)).max()
    assert np.rad2deg(second) < 0.35, 'an unfaded step of 5.7 degrees would be 5.7'
    assert way[4, GRIPPER] > way[4, 0] + 0.03


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(Mode),
    st.lists(st.tuples(st.floats(0, 45), st.floats(-1.5, 1.5)), min_size=1, max_size=8),
)
def test_whatever_comes_when_the_commands_never_leap(
    mode: Mode, answers: list[tuple[float, float]]
) -> None:
    made = schedule(mode)
    now, way = 0.0, []
    for delay, value in answers:
        asked = now
        if made.is_due(tick(now)):
            made.ask(tick(now))
            now += delay
            way += [made.plan.at(tick(n))[0] for n in np.arange(asked, now)]  # type: ignore[union-attr]
            made.answer(constant(value), tick(now))
        else:
            way.append(made.plan.at(tick(now))[0])  # type: ignore[union-attr]
            now += 1
    assert np.isfinite(way).all()
    # Samples are a tick apart, but for those at an answer: those are closer.
    assert np.abs(np.diff(way, axis=0)).max(initial=0.0) <= 1.1 * LIMITS.velocity / FPS


def test_the_ensemble_is_the_weighted_mean_of_chunks_at_the_same_time() -> None:
    made = schedule(Mode.ENSEMBLE)
    assert made.ask(tick(0)) is None
    made.answer(constant(0.0), tick(2))
    assert made.ask(tick(10)) is None, 'an ensemble is not guided'
    plan = made.answer(constant(0.1), tick(12))
    assert plan is not None
    older, newer = 1.0, np.exp(-0.01)
    assert plan.at(tick(40))[0] == pytest.approx(0.1 * newer / (older + newer), abs=1e-3)
    assert plan.at(tick(58))[0] == pytest.approx(0.1, abs=5e-3), 'the older one has ended'


def test_sync_observes_when_the_actions_have_run_out_and_executes_all_of_them() -> None:
    made = schedule(Mode.SYNC)
    made.ask(tick(0))
    plan = made.answer(ramp(0), tick(5))
    assert plan is not None
    assert plan.at(tick(45))[0] == pytest.approx(0.40, abs=3e-3), 'action 40, 5 ticks late'
    assert not made.is_due(tick(53.9))
    assert made.is_due(tick(54)), 'its last action came at 5 + 49'
