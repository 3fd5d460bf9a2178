"""A motion in bits: each ends at rest, and together they are the motion."""

from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver.limits import Limits, Motion
from so101_driver.trajectory import Point, Schedule, Trajectory
from so101_episodes.move import Move, plan
from so101_episodes.stream import BRAKING, HORIZON, LEAD, PERIOD, bit

START = 1_700_000_000_000_000_000


def wave(seconds: float, step: float = 0.02) -> Move:
    """Six joints, from rest to rest, at up to 3 rad/s."""
    times = np.arange(0.0, seconds + step / 2, step)
    size = np.array([1.5, -1.0, 0.5, 0.2, -0.1, 0.0])
    return Move(
        times,
        np.outer(1 - np.cos(2 * times), size),
        np.outer(2 * np.sin(2 * times), size),
    )


@given(st.floats(0.0, 5.0), st.floats(0.05, 1.0))
def test_every_bit_ends_at_rest_soon_and_without_a_jolt(begin: float, length: float) -> None:
    move = wave(2 * np.pi)
    part = bit(move, begin, begin + length)
    assert (np.diff(part.times) > 0).all()
    assert (part.velocities[-1] == 0).all()
    own = np.count_nonzero((move.times >= begin) & (move.times <= begin + length))
    assert part.times[-1] < begin + max(length, 0.04) + 0.55
    np.testing.assert_array_equal(part.positions[:own], move.at(part.times[:own]))
    pace = np.diff(part.positions, axis=0) / np.diff(part.times)[:, None]
    change = np.diff(pace, axis=0) / np.diff(part.times)[1:, None]
    # The wave itself has 6 rad/s^2; where the braking begins, its own is added.
    assert np.abs(change).max() < 6 + BRAKING


def test_the_velocities_are_those_of_the_positions() -> None:
    part = bit(wave(3.0), 0.4, 0.9)
    mean = (part.velocities[1:] + part.velocities[:-1]) / 2
    pace = np.diff(part.positions, axis=0) / np.diff(part.times)[:, None]
    np.testing.assert_allclose(pace, mean, atol=0.01)


def test_the_last_bit_is_the_end_of_the_motion() -> None:
    move = plan(np.zeros(6), np.full(6, 0.5))
    part = bit(move, move.duration - 0.2, move.duration - 0.2 + HORIZON)
    np.testing.assert_array_equal(part.positions[-1], move.positions[-1])
    assert part.times[-1] == move.duration


@pytest.mark.parametrize('begin', [10.0, 2 * np.pi])
def test_after_the_end_it_is_the_last_point(begin: float) -> None:
    move = wave(2 * np.pi)
    part = bit(move, begin, begin)
    assert part.times.tolist() == [move.duration]


def driven(messages: list[tuple[int, Move]], seconds: float, cycles: np.ndarray) -> np.ndarray:
    """Return what a driver tells its servos of moves that it hears of at these times, ns.

    `cycles`: the seconds from each cycle to the next.
    """
    schedule = Schedule(max_velocity=4.0, max_jump=1.0)
    limits = Limits(np.full(6, -9.0), np.full(6, 9.0), 4.0, 40.0)
    motion, told, since = Motion(np.zeros(6), np.zeros(6)), [], START
    waiting = sorted(messages, key=itemgetter(0))
    for now in (START + np.cumsum(cycles[cycles.cumsum() < seconds] * 1e9)).astype(int).tolist():
        while waiting and waiting[0][0] <= now:
            _, move = waiting.pop(0)
            points = tuple(
                Point(START + round(t * 1e9), tuple(p), tuple(v), None)
                for t, p, v in zip(move.times, move.positions, move.velocities, strict=True)
            )
            schedule.add(Trajectory(points[0].time, points))
        schedule.advance(now, motion, since)
        if (target := schedule.target(now)) is not None:
            motion, _ = limits.follow(motion, target, (now - since) * 1e-9)
        told.append(motion.position)
        since = now
    return np.array(told)


@pytest.mark.parametrize('late', [0.0, 0.1])
def test_the_driver_makes_of_bits_what_it_makes_of_the_whole(late: float) -> None:
    """Also of bits that are sent and heard late, by a driver whose cycles are uneven."""
    move = wave(2 * np.pi)
    random = np.random.default_rng(0)
    cycles = random.uniform(0.003, 0.008, 2000)
    bits, begin, end = [], 0.0, 0.0
    while end < move.duration:
        end = begin + HORIZON
        delay = random.uniform(0, 0.2) if bits else 0.0
        heard = START + round((begin - LEAD + delay) * 1e9)
        bits.append((heard, bit(move, begin, end)))
        begin += PERIOD + random.uniform(0, late)
    assert len(bits) > 10
    together = driven(bits, move.duration + 0.1, cycles)
    whole = driven([(START, move)], move.duration + 0.1, cycles)
    assert np.abs(together - whole).max() < 1e-4
    assert np.abs(whole[-1] - move.positions[-1]).max() < 1e-3


def test_a_driver_that_hears_no_more_comes_to_rest_without_a_jolt() -> None:
    move = wave(2 * np.pi)
    cycles = np.full(500, 0.005)
    told = driven([(START, bit(move, 0.0, HORIZON))], 2.0, cycles)
    pace = np.diff(told, axis=0) / 0.005
    assert np.abs(pace).max() > 2
    assert not pace[round((HORIZON + 0.45) / 0.005) :].any()
    assert np.abs(np.diff(pace, axis=0)).max() / 0.005 < 6 + BRAKING
