"""The semantics of joint_trajectory_controller."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import JOINTS
from so101_driver.trajectory import Schedule, parse
from so101_node.error import UserError

S = 1_000_000_000
NOW = 1_000 * S
ZERO = np.zeros(6)


def time(seconds: float) -> SimpleNamespace:
    return SimpleNamespace(sec=int(seconds // 1), nanosec=round(seconds % 1 * S))


def point(seconds: float, positions: Any, velocities: Any = (), accelerations: Any = ()) -> Any:
    def row(values: Any) -> list[float]:
        return [values] * 6 if isinstance(values, float) else list(values)

    return SimpleNamespace(
        time_from_start=time(seconds),
        positions=row(positions),
        velocities=row(velocities),
        accelerations=row(accelerations),
        effort=[],
    )


def message(*points: Any, names: Any = JOINTS, stamp: float = 0) -> Any:
    header = SimpleNamespace(stamp=time(stamp))
    return SimpleNamespace(header=header, joint_names=list(names), points=list(points))


effort = point(1, 0.0)
effort.effort = [1.0] * 6


@pytest.mark.parametrize(
    ('wrong', 'reason'),
    [
        (message(point(1, 0.0), names=[]), 'no joint names or no points'),
        (message(), 'no joint names or no points'),
        (message(point(1, 0.0), names=[*JOINTS[:5], 'hand']), 'unknown joint hand'),
        (message(point(1, [0.0] * 5), names=JOINTS[:5]), 'missing joint gripper'),
        (message(point(1, [0.0] * 7), names=[*JOINTS, 'gripper']), 'duplicate joint gripper'),
        (message(point(1, [0.0] * 5)), 'point 0 has 5 positions, not 6'),
        (message(point(1, ())), 'every point needs positions'),
        (message(point(1, (), 0.0)), 'every point needs positions'),
        (message(point(1, 0.0), point(2, 0.0, [0.0])), 'point 1 has 1 velocities, not 6'),
        (message(point(1, 0.0, 0.0, [0.0])), 'point 0 has 1 accelerations, not 6'),
        (message(point(1, float('nan'))), 'positions that are not finite'),
        (message(point(1, 0.0, float('inf'))), 'velocities that are not finite'),
        (message(point(1, 0.0), point(1, 0.0)), 'times of the points do not increase'),
        (message(point(2, 0.0), point(1, 0.0)), 'times of the points do not increase'),
        (message(point(-1, 0.0)), 'times of the points do not increase from 0'),
        (message(point(1, 0.0), stamp=998), r'ended 1\.000 s in the past'),
        (message(effort), 'effort'),
    ],
)
def test_a_wrong_trajectory_is_refused_with_the_reason(wrong: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        parse(wrong, NOW)


def test_points_follow_the_order_of_the_names() -> None:
    trajectory = parse(message(point(1, [5.0, 4, 3, 2, 1, 0]), names=JOINTS[::-1]), NOW)
    assert trajectory.positions[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_stamp_zero_starts_now_and_another_stamp_then() -> None:
    assert parse(message(point(1, 0.0)), NOW).end == NOW + S
    assert parse(message(point(1, 0.0), stamp=1005), NOW).end == NOW + 6 * S


def test_positions_alone_are_joined_by_lines_from_the_state_at_the_splice() -> None:
    trajectory = parse(message(point(1, 1.0), point(3, 5.0)), NOW).spliced(NOW, ZERO, ZERO)
    for seconds, expected in ((0, 0), (0.5, 0.5), (1, 1), (2, 3), (3, 5), (9, 5)):
        assert trajectory.sample(NOW + int(seconds * S))[0] == pytest.approx(expected)


numbers = st.floats(-3, 3)


@given(numbers, numbers, numbers, numbers, st.floats(0.01, 5))
def test_velocities_make_the_cubic_that_meets_them(
    p0: float, v0: float, p1: float, v1: float, duration: float
) -> None:
    start = np.full(6, p0)
    spliced = parse(message(point(duration, p1, v1)), NOW).spliced(NOW, start, np.full(6, v0))
    end, step = spliced.end, spliced.end - NOW

    def sample(share: float) -> float:
        return float(spliced.sample(NOW + int(share * step))[0])

    assert sample(0) == pytest.approx(p0, abs=1e-6)
    assert spliced.sample(end - 1)[0] == pytest.approx(p1, abs=1e-5)
    middle = (p0 + p1) / 2 + duration * (v0 - v1) / 8
    assert sample(0.5) == pytest.approx(middle, abs=1e-5)


def test_accelerations_make_the_quintic_of_least_jerk() -> None:
    given_points = message(point(0, 0.0, 0.0, 0.0), point(2, 1.0, 0.0, 0.0))
    trajectory = parse(given_points, NOW).spliced(NOW, ZERO, ZERO)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        expected = 10 * share**3 - 15 * share**4 + 6 * share**5
        assert trajectory.sample(NOW + int(share * 2 * S))[0] == pytest.approx(expected)


def test_points_in_the_past_are_dropped() -> None:
    points = [point(i, float(i)) for i in range(1, 5)]
    trajectory = parse(message(*points, stamp=997.5), NOW).spliced(NOW, np.full(6, 9.0), ZERO)
    assert trajectory.positions[:, 0].tolist() == [9.0, 3.0, 4.0]
    assert trajectory.sample(NOW + S // 4)[0] == pytest.approx(6.0)


def test_what_runs_goes_on_until_the_new_one_starts() -> None:
    schedule = Schedule()
    schedule.add(parse(message(point(4, 4.0)), NOW))
    assert schedule.advance(NOW, ZERO, ZERO)
    schedule.add(parse(message(point(1, 0.0), stamp=1002), NOW))
    for seconds in (1, 2):
        now = NOW + seconds * S
        target = schedule.target(now)
        assert target is not None and target[0] == pytest.approx(seconds)
        assert schedule.advance(now, target, ZERO) == (seconds == 2)
    target = schedule.target(NOW + 2 * S + S // 2)
    assert target is not None and target[0] == pytest.approx(1.0)


def test_a_new_one_replaces_those_that_start_at_the_same_time_or_later() -> None:
    schedule = Schedule()
    for stamp, position in ((1001, 1.0), (1003, 3.0), (1002, 2.0)):
        schedule.add(parse(message(point(0.5, position), stamp=stamp), NOW))
    reached = []
    for seconds in (1, 2, 3):
        schedule.advance(NOW + seconds * S, ZERO, ZERO)
        target = schedule.target(NOW + 4 * S)
        assert target is not None
        reached.append(target[0])
    assert reached == [1.0, 2.0, 2.0]


def test_a_finished_one_is_forgotten_and_a_cleared_schedule_is_empty() -> None:
    schedule = Schedule()
    schedule.add(parse(message(point(1, 1.0)), NOW))
    schedule.advance(NOW, ZERO, ZERO)
    schedule.finish(NOW + S - 1)
    assert schedule
    schedule.finish(NOW + S)
    assert not schedule
    schedule.add(parse(message(point(1, 1.0)), NOW))
    schedule.clear()
    assert not schedule
