"""A reference keeps to its limits whatever its target and the cycle times do."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so101_driver.limits import MAX_INTERVAL, Limits, Motion

LOWER = np.array([-2.0, -1.8, -1.7, -1.6, -2.8, -0.2])
UPPER = np.array([2.0, 1.7, 1.6, 1.6, 2.8, 1.7])
V = 3.0
A = 20.0
LIMITS = Limits(LOWER, UPPER, V, A)
WIDE = Limits(np.full(6, -1e3), np.full(6, 1e3), V, A)
REST: Any = np.zeros(6)
CYCLE = 0.005

shares = hnp.arrays(np.float64, 6, elements=st.floats(0, 1))
signs = hnp.arrays(np.float64, 6, elements=st.sampled_from((-1.0, 1.0)))
inside = shares.map(lambda share: np.clip(LOWER + share * (UPPER - LOWER), LOWER, UPPER))
pauses = st.floats(0.001, 0.05) | st.sampled_from((0.0, -0.001, 1e-6, 1.0))
targets = st.builds(
    Motion,
    hnp.arrays(np.float64, 6, elements=st.floats(-4, 4)),
    hnp.arrays(np.float64, 6, elements=st.floats(-6, 6) | st.just(0.0)),
)


def stoppable(position: Any, share: Any, sign: Any) -> Motion:
    """Return a motion that can stop before the limits."""
    room = np.where(sign > 0, UPPER - position, position - LOWER)
    return Motion(position, sign * share * np.minimum(V, np.sqrt(2 * A * room)))


motions = st.builds(stoppable, inside, shares, signs)


def cycles(seed: int) -> Iterator[float]:
    """Yield seconds that differ from cycle to cycle, by little or by much."""
    generator = random.Random(seed)
    longest = generator.choice(((0.001,), (0.005,), (0.001, 0.05), (0.001, 0.005, 0.02, 0.05)))
    while True:
        yield generator.choice(longest) * generator.uniform(0.9, 1.0)


@given(motions, st.lists(st.tuples(targets | st.none(), pauses), max_size=30))
def test_position_velocity_and_acceleration_stay_within_the_limits(
    motion: Motion, steps: list[tuple[Motion | None, float]]
) -> None:
    for target, seconds in steps:
        before = motion
        if target is None:
            motion = LIMITS.stop(before, seconds)
        else:
            motion, _ = LIMITS.follow(before, target, seconds)
        interval = min(max(seconds, 0.0), MAX_INTERVAL)
        assert ((motion.position >= LOWER) & (motion.position <= UPPER)).all()
        assert np.abs(motion.velocity).max() <= V
        assert np.abs(motion.velocity - before.velocity).max() <= A * interval + 1e-6
        moved = motion.position - before.position
        np.testing.assert_allclose(moved, motion.velocity * interval, atol=1e-12)


@given(inside, shares, signs, inside, st.integers(0, 1000))
def test_a_standing_target_is_reached_and_never_passed(
    position: Any, share: Any, sign: Any, goal: Any, seed: int
) -> None:
    motion = stoppable(position, share, sign)
    way = goal - motion.position
    slow_enough = np.sign(motion.velocity) != np.sign(way)
    slow_enough |= motion.velocity**2 / (2 * A) <= np.abs(way)
    motion = motion._replace(velocity=np.where(slow_enough, motion.velocity, 0.0))
    side = np.sign(way)
    for count, seconds in enumerate(cycles(seed)):
        motion, reached = LIMITS.follow(motion, Motion(goal, REST), seconds)
        assert ((goal - motion.position) * side >= -1e-9).all()
        if reached:
            break
        assert count < 10_000
    motion, reached = LIMITS.follow(motion, Motion(goal, REST), CYCLE)
    assert reached and (motion.position == goal).all()
    assert not motion.velocity.any()


def test_a_standing_target_is_reached_nearly_as_fast_as_can_be() -> None:
    motion = Motion(REST, REST)
    goal = np.array([1.0, -1.0, 0.1, -0.1, 0.01, 0.0])
    arrived = np.zeros(6)
    for count in range(1, 200):
        motion, _ = LIMITS.follow(motion, Motion(goal, REST), CYCLE)
        arrived[(arrived == 0) & (np.abs(motion.position - goal) < 1e-3)] = count * CYCLE
    way = np.abs(goal)
    best = np.where(way > V**2 / A, way / V + V / A, 2 * np.sqrt(way / A))
    assert (arrived <= best + 3 * CYCLE).all()


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-0.99, 0.99), st.floats(0.001, 0.05))),
)
def test_a_target_within_the_limits_is_met_exactly(
    steps: list[tuple[float, float, float]],
) -> None:
    """Its velocity at the end of a cycle is not the mean one of that cycle."""
    scale = np.array([1, -1, 0.5, -0.5, 0.1, 0])
    motion = Motion(REST, REST)
    position = mean = REST
    for share, bend, seconds in steps:
        mean = np.clip(mean + share * A * seconds * scale, -V, V)
        position = position + mean * seconds
        velocity = mean + bend * A * seconds * scale
        velocity = np.where(velocity == 0, mean, velocity)
        motion, _ = WIDE.follow(motion, Motion(position, velocity), seconds)
        np.testing.assert_allclose(motion.position, position, atol=1e-9)


@given(st.floats(0.3, 2.0), st.floats(0.2, 1.2), st.integers(0, 1000))
def test_a_smooth_move_is_followed_without_lag(duration: float, way: float, seed: int) -> None:
    # Half the acceleration: the mean velocities of a long cycle and a short one lie further apart
    # than the short cycle is long.
    duration = max(duration, np.sqrt(6 * way / (A / 2)), 2 * way / V)
    generator = random.Random(seed)
    motion = Motion(REST, REST)
    now = 0.0
    while now < duration:
        seconds = generator.uniform(0.004, 0.006)
        now += seconds
        s = min(now / duration, 1.0)
        target = Motion(
            np.full(6, way * (10 * s**3 - 15 * s**4 + 6 * s**5)),
            np.full(6, way * 30 * (s * (1 - s)) ** 2 / duration),
        )
        motion, _ = LIMITS.follow(motion, target, seconds)
        np.testing.assert_allclose(motion.position, target.position, atol=1e-6 if s == 1 else 1e-9)


@pytest.mark.parametrize('speed', [0.5, -1.0, 2.5])
@pytest.mark.parametrize('lead', [1.0, -1.0, 0.01])
def test_a_moving_target_is_caught_up_with_and_then_met(speed: float, lead: float) -> None:
    motion = Motion(REST, REST)
    lags = []
    for count in range(1000):
        target = Motion(np.full(6, lead + speed * count * CYCLE), np.full(6, speed))
        motion, _ = WIDE.follow(motion, target, CYCLE)
        lags.append(float(np.abs(target.position - motion.position).max()))
    assert lags[0] > abs(lead) / 2
    assert max(lags[-10:]) < 1e-9


@given(motions, st.integers(0, 1000))
def test_it_stops_on_the_shortest_way(motion: Motion, seed: int) -> None:
    start, best = motion.position, motion.velocity**2 / (2 * A)
    for seconds in cycles(seed):
        motion = LIMITS.stop(motion, seconds)
        if not motion.velocity.any():
            break
    way = np.abs(motion.position - start)
    assert (way <= best + 1e-12).all()
    assert ((motion.position >= LOWER) & (motion.position <= UPPER)).all()
    after = LIMITS.stop(motion, CYCLE)
    assert (after.position == motion.position).all()


@given(
    hnp.arrays(np.float64, 6, elements=st.floats(1e-6, 1)),
    signs,
    hnp.arrays(np.float64, 6, elements=st.floats(-V, V)),
    st.lists(st.tuples(targets, pauses), max_size=20),
)
def test_a_joint_outside_goes_in_and_never_further_out(
    excess: Any, sign: Any, velocity: Any, steps: list[tuple[Motion, float]]
) -> None:
    motion = Motion(np.where(sign > 0, UPPER + excess, LOWER - excess), velocity)

    def outside(motion: Motion) -> Any:
        return np.maximum(motion.position - UPPER, LOWER - motion.position).clip(0)

    for target, seconds in steps:
        before, stopped = outside(motion), LIMITS.stop(motion, seconds)
        assert (outside(stopped) <= before).all()
        motion, _ = LIMITS.follow(motion, target, seconds)
        assert (outside(motion) <= before).all()
    for _ in range(1000):
        motion, reached = LIMITS.follow(motion, Motion(np.full(6, 9.0), REST), CYCLE)
        if reached:
            break
    assert (motion.position == UPPER).all()


@pytest.mark.parametrize('rate', [-1.0, 0.0, 1.0])
@pytest.mark.parametrize(('limit', 'side'), [(LOWER, -1), (UPPER, 1)])
def test_a_target_outside_stands_at_the_limit(limit: Any, side: float, rate: float) -> None:
    motion = Motion(limit - side * 0.5, REST)
    for _ in range(1000):
        target = Motion(limit + side * 0.1, np.full(6, rate))
        motion, reached = LIMITS.follow(motion, target, CYCLE)
        if reached:
            break
    assert (motion.position == limit).all()


@pytest.mark.parametrize(('limit', 'side'), [(LOWER, -1), (UPPER, 1)])
def test_it_brakes_before_the_limit_for_a_target_that_goes_on(limit: Any, side: float) -> None:
    speed = np.full(6, 0.9 * V * side)
    motion = Motion(limit - side, speed)
    for count in range(1, 200):
        before = motion
        target = Motion(limit - side + speed * count * CYCLE, speed)
        motion, _ = LIMITS.follow(motion, target, CYCLE)
        assert np.abs(motion.velocity - before.velocity).max() <= A * CYCLE + 1e-9
        assert ((limit - motion.position) * side >= 0).all()
    assert (motion.position == limit).all()


def test_after_a_pause_it_goes_on_at_its_pace() -> None:
    motion = Motion(REST, np.full(6, 1.0))
    target = Motion(np.full(6, 1.5), np.full(6, 1.0))
    after, _ = LIMITS.follow(motion, target, 10.0)
    assert after.position.max() <= (1.0 + A * MAX_INTERVAL) * MAX_INTERVAL


@pytest.mark.parametrize('seconds', [0.0, -1.0])
def test_no_time_is_no_motion(seconds: float) -> None:
    motion = Motion(np.full(6, 0.5), np.full(6, 0.1))
    target = Motion(np.full(6, 0.5), np.full(6, 0.3))
    after, reached = LIMITS.follow(motion, target, seconds)
    assert reached
    for result in (after, LIMITS.stop(motion, seconds)):
        assert result.position.tolist() == motion.position.tolist()
        assert result.velocity.tolist() == motion.velocity.tolist()


@pytest.mark.parametrize('number', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('field', ['position', 'velocity'])
@pytest.mark.parametrize('seconds', [0.0, CYCLE])
def test_a_target_that_is_not_finite_is_an_error(
    number: float, field: str, seconds: float
) -> None:
    row = np.array([0.0, 0, 0, number, 0, 0])
    with pytest.raises(ValueError, match='not finite'):
        LIMITS.follow(Motion(REST, REST), Motion(REST, REST)._replace(**{field: row}), seconds)
