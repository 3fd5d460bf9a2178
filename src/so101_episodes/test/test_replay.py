"""What is sent is what was recorded, and what an arm may not do is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import HOME, JOINTS
from so101_episodes.replay import (
    Replay,
    check_gaps,
    check_positions,
    check_velocity,
    following,
    replay,
)
from so101_episodes.series import Series
from so101_node.error import UserError

START = 1_700_000_000_000_000_000
TICK = 2 * np.pi / 4096
WAY = np.array([0.5, 0.4, -0.4, -0.3, 0.6, 0.3])  # rad
PACE = 2.4  # rad/s of a cosine: 1.44 rad/s and 3.5 rad/s^2 at most


def pose(seconds: np.ndarray) -> np.ndarray:
    return HOME + (1 - np.cos(PACE * seconds))[:, None] * WAY


def recorded(seconds: float = 5.0, rate: float = 200.0, tick: float = TICK) -> Series:
    """A smooth motion as a reference says it: in ticks."""
    times = np.arange(0.0, seconds, 1 / rate)
    stamps = START + np.round(times * 1e9).astype(np.int64)
    return Series(stamps, np.round(pose(times) / tick) * tick)


@pytest.mark.parametrize('speed', [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(('rate', 'most'), [(200.0, 1.5), (30.0, 2.0)])
def test_it_is_what_was_recorded(speed: float, rate: float, most: float) -> None:
    motion = replay(recorded(rate=rate), speed)
    off = motion.move.positions - pose(motion.recorded)
    assert np.abs(off).max() < most * TICK
    assert np.sqrt((off**2).mean()) < 0.3 * most * TICK
    assert motion.recorded[0] == 0
    assert motion.recorded[-1] == pytest.approx(5.0 - 1 / rate)
    assert motion.move.duration == pytest.approx((5.0 - 1 / rate) / speed + 0.3)


@given(st.floats(0.1, 2.0), st.floats(0.5, 3.0), st.floats(0.0, 2.0))
def test_it_is_smooth_from_rest_to_rest(speed: float, seconds: float, since: float) -> None:
    """Also of an episode that begins and ends in the middle of a motion."""
    times = np.arange(0.0, seconds, 0.005)
    stamps = START + np.round(times * 1e9).astype(np.int64)
    motion = replay(Series(stamps, np.round(pose(times + since) / TICK) * TICK), speed)
    move = motion.move
    assert (move.velocities[[0, -1]] == 0).all()
    assert (np.diff(motion.recorded) >= 0).all()
    steps = np.diff(move.times)
    assert steps.min() > 0.009
    assert steps.max() < 0.031
    mean = (move.velocities[1:] + move.velocities[:-1]) / 2
    # The positions are off by ticks, the velocities are not.
    assert np.abs(np.diff(move.positions, axis=0) - mean * steps[:, None]).max() < 1.5 * TICK
    change = np.diff(move.velocities, axis=0) / steps[:, None]
    # The motion's own, getting up to speed in 0.3 s, and what is left of the ticks.
    assert np.abs(change).max() < 3.5 * speed**2 + 1.5 * 1.44 * speed / 0.3 + 2


def test_a_velocity_that_is_not_allowed_is_refused_with_the_speed_that_is() -> None:
    motion = replay(recorded(), 1.0)
    check_velocity(motion, 1.0, 1.44)
    with pytest.raises(UserError) as refused:
        check_velocity(motion, 1.0, 1.0)
    said = str(refused.value)
    assert said.startswith('wrist_roll would move at 1.4')
    assert said.endswith('1 are allowed (max_velocity): give speed 0.68 or less')
    check_velocity(replay(recorded(), 0.68), 0.68, 1.0)
    with pytest.raises(UserError, match='too fast for any speed'):
        check_velocity(motion, 1.0, 0.1)


def test_a_gap_is_refused_with_when_and_how_long() -> None:
    whole = recorded()
    kept = np.delete(np.arange(len(whole.times)), slice(200, 320))
    series = Series(whole.times[kept], whole.values[kept])
    check_gaps(series, 0.61)
    with pytest.raises(UserError, match=r'no action for 0\.60 s from 1\.00 s on, 0\.5 s are'):
        check_gaps(series, 0.5)


def test_a_position_outside_the_arms_limits_is_refused() -> None:
    actions = recorded()
    lower, upper = actions.values.min(axis=0), actions.values.max(axis=0)
    check_positions(actions, lower, upper)
    check_positions(actions, lower + 0.03, upper)  # as far as a joint rests outside
    with pytest.raises(UserError) as refused:
        check_positions(actions, lower, upper - [0, 0, 0, 0, 0.2, 0])
    said = 'wrist_roll is at 2.770 rad at 1.29 s, outside the limits of this arm, 1.571 to 2.570:'
    assert str(refused.value).startswith(said)


def test_how_well_it_was_followed() -> None:
    motion = replay(recorded(), 1.0)
    times = np.arange(-1.0, 7.0, 0.01)
    stamps = START + np.round(times * 1e9).astype(np.int64)
    values = motion.move.at(times) + np.array([0.01, 0, 0, 0, 0, 0.5])
    values[times < 0] = 9.0  # before, and not looked at
    values[np.isclose(times, 2.0), 2] += 0.1
    found = following(motion, Series(stamps, values), START)
    assert found is not None
    assert found.rms[[0, 1, 5]] == pytest.approx([0.01, 0, 0.5], abs=1e-6)
    assert JOINTS[found.worst] == 'elbow_flex'
    assert found.largest[2] == pytest.approx(0.1)
    assert found.when == pytest.approx(2.0)
    assert following(motion, Series(stamps + 10**11, values), START) is None


def test_two_actions_are_a_motion() -> None:
    two = Series(np.array([START, START + 40_000_000]), np.array([HOME, HOME + 0.01]))
    motion = replay(two, 1.0)
    assert isinstance(motion, Replay)
    np.testing.assert_allclose(motion.move.positions[[0, -1]], two.values, atol=1e-9)
