"""A plan goes on from the last one, follows what is wanted, keeps limits, ends at rest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so101_policy.plan import PAST, Limits, Plan, braking, following, standing

NOW = 1_700_000_000_123_456_789
TICK = 1 / 30
LIMITS = Limits(3.0, 15.0, 400.0)
HOME = np.array([0.0, -1.8, 1.6, 0.8, 1.5, 0.1])

wishes = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 60), st.just(6)), elements=st.floats(-2, 2)
)
gaps = st.floats(0.0, 3.0)  # seconds from plan to plan


def after(seconds: float) -> int:
    return NOW + round(seconds * 1e9)


def differences(plan: Plan) -> list[Any]:
    """Return velocity, acceleration and jerk of all that the plan could still choose."""
    rows = np.vstack([plan.past, plan.positions[1:]])
    free = len(plan.positions) - 1
    return [np.diff(rows, n, axis=0)[-free:] / TICK**n for n in (1, 2, 3)]


def check(plan: Plan, before: Plan) -> None:
    np.testing.assert_allclose(plan.positions[0], before.at(plan.start)[0], atol=1e-9)
    velocity, acceleration, _ = differences(plan)
    assert np.abs(velocity).max() <= LIMITS.velocity * 1.001
    assert np.abs(acceleration).max() <= LIMITS.acceleration * 1.001
    assert not plan.velocities[-1].any()
    assert not plan.accelerations[-1].any()
    np.testing.assert_array_equal(plan.at(plan.end + 1_000_000_000)[0], plan.positions[-1])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(gaps, wishes), min_size=1, max_size=4), gaps)
def test_whatever_is_wanted_the_limits_are_kept_and_the_end_is_at_rest(
    wanted: list[tuple[float, Any]], last: float
) -> None:
    plan, now = standing(HOME, NOW, TICK), 0.0
    for gap, rows in wanted:
        now += gap
        plan, before = following(plan, after(now), rows, LIMITS), plan
        check(plan, before)
    stopped = braking(plan, after(now + last), LIMITS)
    check(stopped, plan)
    assert stopped.end - stopped.start <= 0.5e9


def test_a_smooth_motion_is_followed_without_a_lag() -> None:
    times = np.arange(1, 60)[:, None] * TICK
    wanted = HOME + 0.4 * (1 - np.cos(2 * np.pi * 0.5 * times))
    plan = following(standing(HOME, NOW, TICK), NOW, wanted, LIMITS)
    assert np.abs(plan.positions[1:60] - wanted).max() < np.deg2rad(1.0)
    assert np.abs(differences(plan)[2]).max() < LIMITS.jerk / 4


def test_noise_is_smoothed_away() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.02, (50, 6))
    plan = following(standing(HOME, NOW, TICK), NOW, HOME + noise, LIMITS)
    rough = np.abs(np.diff(noise, 2, axis=0)).mean()
    assert np.abs(np.diff(plan.positions[:50], 2, axis=0)).mean() < rough / 20


def test_a_new_plan_leaves_the_old_one_smoothly_between_its_ticks() -> None:
    far = np.tile(HOME + 0.5, (30, 1))
    first = following(standing(HOME, NOW, TICK), NOW, far, LIMITS)
    start = NOW + round(7.3 * TICK * 1e9)
    second = following(first, start, HOME + np.zeros((30, 6)), LIMITS)
    moments = start + np.round(np.arange(-2, 1) * TICK * 1e9).astype(np.int64)
    np.testing.assert_allclose(second.past, first.at(moments), atol=1e-9)
    velocity = np.diff(first.at([start - 1_000_000, start]), axis=0) / 1e-3
    np.testing.assert_allclose(second.velocities[0], velocity[0], atol=0.15)


def test_a_jerk_limit_that_a_motion_exceeds_gives_way_and_nothing_else_does() -> None:
    past = HOME + np.array([[0.0], [0.0], [0.09]])  # 81 rad/s^2 at once: no plan does that
    before = Plan(NOW, TICK, past, past[-1:])
    plan = following(before, NOW, np.tile(HOME, (30, 1)), LIMITS)
    velocity, acceleration, jerk = differences(plan)
    assert np.abs(jerk).max() > LIMITS.jerk
    assert np.abs(acceleration).max() <= LIMITS.acceleration * 1.001
    assert np.abs(velocity).max() <= LIMITS.velocity * 1.001


@pytest.mark.parametrize('fps', [1, 5, 10, 30, 100])
@pytest.mark.parametrize('limits', [(3, 15, 400), (5, 1, 10), (5, 15, 50), (0.1, 40, 2000)])
def test_every_rate_and_limit_leaves_a_way_to_brake(
    fps: int, limits: tuple[float, float, float]
) -> None:
    tick = 1 / fps
    wanted = np.tile(HOME + 3.0, (50, 1))
    plan = following(standing(HOME, NOW, tick), NOW, wanted, Limits(*limits))
    for seconds in (0.3, 1.1, 3.0):
        stop = braking(plan, after(seconds), Limits(*limits))
        rows = np.vstack([stop.past[-1:], stop.positions[1:]])
        assert np.abs(np.diff(rows, axis=0)).max() <= limits[0] * tick * 1.001
        assert np.abs(np.diff(rows[-3:], axis=0)).max() == 0


def test_a_standing_arm_stays() -> None:
    plan = standing(HOME, NOW, TICK)
    np.testing.assert_array_equal(plan.at([NOW - 10**9, NOW, NOW + 10**9]), [HOME] * 3)
    assert plan.end == NOW
    assert len(plan.past) == PAST
    assert np.abs(braking(plan, NOW, LIMITS).positions - HOME).max() == pytest.approx(0, abs=1e-9)
