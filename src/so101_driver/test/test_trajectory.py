"""The semantics of joint_trajectory_controller, and what is refused besides."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BPoly, CubicHermiteSpline

from so101_description.joints import JOINTS
from so101_driver.limits import Limits, Motion
from so101_driver.trajectory import Schedule, Trajectory, parse
from so101_node.error import UserError

S = 1_000_000_000
NOW = 1_000 * S
CYCLE = S // 200
ZERO = np.zeros(6)
REST = Motion(ZERO, ZERO)
FIELDS = (
    ('positions',),
    ('positions', 'velocities'),
    ('positions', 'velocities', 'accelerations'),
)


def time(seconds: float) -> SimpleNamespace:
    nanoseconds = round(seconds * S)
    return SimpleNamespace(sec=nanoseconds // S, nanosec=nanoseconds % S)


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


def motion(position: float, velocity: float = 0.0) -> Motion:
    return Motion(np.full(6, position), np.full(6, velocity))


def schedule(max_jump: float = 100.0) -> Schedule:
    return Schedule(3.0, max_jump)


effort = point(1, 0.0)
effort.effort = [1.0] * 6
nan, inf = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('wrong', 'reason'),
    [
        (message(point(1, 0.0), names=[]), 'no joint names or no points'),
        (message(), 'no joint names or no points'),
        (message(point(1, 0.0), names=[*JOINTS[:5], 'hand']), 'unknown joint hand'),
        (message(point(1, [0.0] * 5), names=JOINTS[:5]), 'missing joint gripper'),
        (message(point(1, [0.0] * 7), names=[*JOINTS, 'gripper']), 'duplicate joint gripper'),
        (message(point(1, 0.0), names=[*JOINTS[:5], JOINTS[0]]), 'duplicate joint shoulder_pan'),
        (message(point(1, [0.0] * 5)), 'point 0 has 5 positions, not 6'),
        (message(point(1, ())), 'point 0 has no positions'),
        (message(point(1, 0.0), point(2, (), 0.0)), 'point 1 has no positions'),
        (message(point(1, 0.0), point(2, 0.0, [0.0])), 'point 1 has 1 velocities, not 6'),
        (message(point(1, 0.0, 0.0, [0.0])), 'point 0 has 1 accelerations, not 6'),
        (message(point(1, [0.0, nan, 0, 0, 0, 0])), 'nan for shoulder_lift in its positions'),
        (message(point(1, 0.0, inf)), 'inf for shoulder_pan in its velocities'),
        (message(point(1, 0.0, 0.0, -inf)), 'point 0 has -inf .* in its accelerations'),
        (message(point(1, 0.0, 1e300), point(2, 0.0)), r'point 0 has 1e\+300'),
        (
            message(point(1, 0.0), point(1, 0.0)),
            'times do not increase: point 0 is due at 1.000 s',
        ),
        (message(point(2, 0.0), point(1, 0.0)), 'times do not increase'),
        (message(point(-1, 0.0)), r'point 0 is due 1\.000 s before the start'),
        (message(point(1, 0.0), stamp=998), r'ended 1\.000 s in the past: check .* clock'),
        (message(point(1, 0.0), stamp=-5), 'in the past'),
        (message(point(1, 0.0), stamp=1010.5), r'starts 10\.500 s in the future, .* clock'),
        (message(point(1, 0.0, [0, 0, 0, 0, 0, 0.1])), r'gripper has 5\.73 degrees/s at the last'),
        (message(effort), 'point 0 has effort'),
    ],
)
def test_a_wrong_trajectory_is_refused_with_the_reason(wrong: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        parse(wrong, NOW)


def test_what_is_just_right_is_taken() -> None:
    for good in (
        message(point(1, 0.0), stamp=999),
        message(point(1, 0.0), stamp=1010),
        message(point(0, 0.0)),
        message(point(1, 0.0, 1.0), point(2, 0.0, 1e-8)),
    ):
        plan = schedule()
        plan.add(parse(good, NOW))
        assert plan


def test_points_follow_the_order_of_the_names() -> None:
    row = [5.0, 4, 3, 2, 1, 0]
    trajectory = parse(message(point(0, row, row, row), point(1, row), names=JOINTS[::-1]), NOW)
    for values in trajectory.points[0][1:]:
        assert values == (0, 1, 2, 3, 4, 5)


def test_stamp_zero_starts_now_and_another_stamp_then() -> None:
    assert parse(message(point(1, 0.0)), NOW).end == NOW + S
    assert parse(message(point(1, 0.0), stamp=1005), NOW).end == NOW + 6 * S


# Between the points


numbers = st.floats(-3, 3)
rows = st.lists(numbers, min_size=6, max_size=6)


@st.composite
def moves(draw: Any, fields: Any) -> Any:
    """Draw a message whose first point is due at once, with some of the fields."""
    times = np.cumsum([0.0, *draw(st.lists(st.floats(0.2, 2), min_size=1, max_size=5))])
    points = [point(t, *(draw(rows) for _ in fields)) for t in times]
    if len(fields) > 1:
        points[-1].velocities = [0.0] * 6
    return message(*points)


def table(given_message: Any, field: str) -> Any:
    return np.array([getattr(given_point, field) for given_point in given_message.points])


def seconds_of(trajectory: Trajectory) -> Any:
    return np.array([given_point.time - NOW for given_point in trajectory.points]) * 1e-9


def samples(trajectory: Trajectory, times: Any) -> tuple[Any, Any]:
    """Return the positions and the velocities at times in ns, both of shape (n, 6)."""
    motions = [trajectory.sample(int(now)) for now in times]
    return np.array([m.position for m in motions]), np.array([m.velocity for m in motions])


@given(st.sampled_from(FIELDS).flatmap(moves), st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_it_is_what_scipy_makes_of_the_points(given_message: Any, shares: list[float]) -> None:
    trajectory = parse(given_message, NOW)
    times = [NOW + int(share * (trajectory.end - NOW - 1)) for share in shares]
    positions, velocities = samples(trajectory, times)
    x, at = seconds_of(trajectory), (np.array(times) - NOW) * 1e-9
    p, v = table(given_message, 'positions'), table(given_message, 'velocities')
    a = table(given_message, 'accelerations')
    if a.size:
        curve = BPoly.from_derivatives(x, np.stack((p, v, a), axis=1))
    elif v.size:
        curve = CubicHermiteSpline(x, p, v)
    else:
        curve = BPoly.from_derivatives(x, p[:, np.newaxis])
    np.testing.assert_allclose(positions, curve(at), atol=1e-9)
    np.testing.assert_allclose(velocities, curve(at, nu=1), atol=1e-8)


@given(st.sampled_from(FIELDS).flatmap(moves))
def test_every_point_is_met_at_its_time_and_nothing_jumps_there(given_message: Any) -> None:
    trajectory = parse(given_message, NOW)
    times = [given_point.time for given_point in trajectory.points]
    p, v = table(given_message, 'positions'), table(given_message, 'velocities')
    a = table(given_message, 'accelerations')
    at, speed = samples(trajectory, times)
    before, speed_before = samples(trajectory, [now - 1 for now in times[1:]])
    np.testing.assert_array_equal(at, p)
    np.testing.assert_allclose(before, p[1:], atol=1e-6)
    if v.size:
        np.testing.assert_allclose(speed, v, atol=1e-9)
        np.testing.assert_allclose(speed_before, v[1:], atol=1e-4)
    if a.size:
        step = 100  # ns
        _, later = samples(trajectory, [now + step for now in times[:-1]])
        _, sooner = samples(trajectory, [now - step for now in times[1:]])
        np.testing.assert_allclose((later - speed[:-1]) / (step * 1e-9), a[:-1], atol=0.1)
        np.testing.assert_allclose((speed[1:] - sooner) / (step * 1e-9), a[1:], atol=0.1)


@given(st.sampled_from(FIELDS).flatmap(moves), st.floats(0.001, 0.999))
def test_the_velocity_is_the_derivative_of_the_position(given_message: Any, share: float) -> None:
    trajectory = parse(given_message, NOW)
    half = 1000  # ns
    for before, after in zip(trajectory.points, trajectory.points[1:], strict=False):
        now = before.time + int(share * (after.time - before.time))
        positions, velocities = samples(trajectory, (now - half, now, now + half))
        slope = (positions[2] - positions[0]) / (2 * half * 1e-9)
        np.testing.assert_allclose(velocities[1], slope, atol=1e-5)


def test_before_it_begins_and_after_it_ends_it_stands() -> None:
    trajectory = parse(message(point(1, 1.0, 2.0), point(2, 3.0, 0.0)), NOW)
    for seconds, expected in ((0, 1.0), (0.999, 1.0), (2, 3.0), (9, 3.0)):
        sample = trajectory.sample(NOW + int(seconds * S))
        assert sample.position.tolist() == [expected] * 6
        assert not sample.velocity.any()


def test_fields_of_one_point_alone_make_no_curve() -> None:
    trajectory = parse(
        message(
            point(0, 0.0, 1.0, 1.0),
            point(1, 1.0),
            point(2, 2.0, (), 9.0),
            point(3, 3.0, (), 9.0),
            point(4, 3.0, 0.0),
            point(6, 4.0, 0.0, 0.0),
        ),
        NOW,
    )
    for seconds, expected in ((0.25, 0.25), (1.25, 1.25), (2.25, 2.25), (5, 3.5)):
        now = NOW + int(seconds * S)
        assert trajectory.sample(now).position == pytest.approx(expected)


# Taking over


def test_lines_start_at_the_motion_at_the_splice() -> None:
    trajectory = parse(message(point(1, 1.0), point(3, 5.0)), NOW).spliced(NOW, REST, NOW)
    for seconds, expected in ((0, 0), (0.5, 0.5), (1, 1), (2, 3), (3, 5), (9, 5)):
        assert trajectory.sample(NOW + int(seconds * S)).position == pytest.approx(expected)


@given(
    st.sampled_from(FIELDS).flatmap(moves), numbers, numbers, st.floats(0, 0.99), st.floats(0, 1)
)
def test_a_splice_keeps_position_and_velocity_and_meets_the_points_to_come(
    given_message: Any, position: float, velocity: float, share: float, lag: float
) -> None:
    trajectory = parse(given_message, NOW)
    now = NOW + int(share * (trajectory.end - NOW))
    since = now - int(lag * CYCLE)
    spliced = trajectory.spliced(now, motion(position, velocity), since)
    start = spliced.sample(since)
    assert start.position == pytest.approx(position, abs=1e-9)
    if given_message.points[0].velocities:
        assert start.velocity == pytest.approx(velocity, abs=1e-9)
    assert spliced.end == trajectory.end
    for given_point in trajectory.points:
        if given_point.time > now:
            assert spliced.sample(given_point.time).position.tolist() == list(given_point.position)


def test_points_in_the_past_are_dropped() -> None:
    points = [point(i, float(i)) for i in range(1, 5)]
    trajectory = parse(message(*points, stamp=997.5), NOW).spliced(NOW, motion(9.0), NOW)
    assert [given_point.position[0] for given_point in trajectory.points] == [9.0, 3.0, 4.0]
    assert trajectory.sample(NOW + S // 4).position == pytest.approx(6.0)


def test_a_point_that_is_due_at_once_is_the_target_at_once() -> None:
    plan = schedule()
    plan.add(parse(message(point(0, 1.0)), NOW))
    assert plan.advance(NOW + CYCLE, REST, NOW)
    for now in (NOW + CYCLE, NOW + S, NOW - S):
        target = plan.target(now)
        assert target is not None
        assert not target.velocity.any()
        assert target.position.tolist() == [0.0 if now < NOW else 1.0] * 6


def test_joints_that_are_not_named_stand_where_they_are_at_takeover() -> None:
    given_message = message(
        point(0.5, [1.0, 2.0], [1.0, 1.0], [0.0, 0.0]),
        point(1, [1.0, 2.0], [0.0, 0.0], [0.0, 0.0]),
        names=['gripper', 'shoulder_pan'],
    )
    with pytest.raises(UserError, match='missing joint elbow_flex, shoulder_lift, wrist_flex'):
        parse(given_message, NOW)
    plan = schedule()
    plan.add(parse(given_message, NOW, partial=True))
    position = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    plan.advance(NOW, Motion(position, ZERO), NOW)
    for share in (0.25, 0.5, 0.75, 1):
        target = plan.target(NOW + int(share * S))
        assert target is not None
        assert target.position[1:5].tolist() == position[1:5].tolist()
        assert not target.velocity[1:5].any()
    assert target is not None
    assert target.position.tolist() == [2.0, 0.2, 0.3, 0.4, 0.5, 1.0]


def test_an_unknown_joint_is_refused_among_some_too() -> None:
    for names, reason in ((['hand'], 'unknown joint hand'), ([], 'no joint names')):
        with pytest.raises(UserError, match=reason):
            parse(message(point(1, [0.0]), names=names), NOW, partial=True)


def test_what_runs_goes_on_until_the_new_one_starts() -> None:
    plan = schedule()
    plan.add(parse(message(point(4, 4.0)), NOW))
    assert plan.advance(NOW, REST, NOW)
    plan.add(parse(message(point(1, 0.0), stamp=1002), NOW))
    for seconds in (1, 2):
        now = NOW + seconds * S
        target = plan.target(now)
        assert target is not None and target.position == pytest.approx(seconds)
        assert plan.advance(now, target, now) == (seconds == 2)
    target = plan.target(NOW + 2 * S + S // 2)
    assert target is not None and target.position == pytest.approx(1.0)


def test_a_new_one_replaces_those_that_start_at_the_same_time_or_later() -> None:
    plan = schedule()
    for stamp, position, replaced in ((1001, 1.0, 0), (1003, 3.0, 0), (1002, 2.0, 1)):
        trajectory = parse(message(point(0.5, position), stamp=stamp), NOW)
        assert plan.add(trajectory) == replaced
    reached = []
    for seconds in (1, 2, 3):
        plan.advance(NOW + seconds * S, REST, NOW)
        target = plan.target(NOW + 4 * S)
        assert target is not None
        reached.append(target.position[0])
    assert reached == [1.0, 2.0, 2.0]


def test_a_finished_one_is_forgotten_and_a_cleared_schedule_is_empty() -> None:
    plan = schedule()
    plan.add(parse(message(point(1, 1.0)), NOW))
    plan.advance(NOW, REST, NOW)
    plan.finish(NOW + S - 1)
    assert plan
    plan.finish(NOW + S)
    assert not plan
    plan.add(parse(message(point(1, 1.0)), NOW))
    plan.clear()
    assert not plan


def test_a_stream_of_short_chunks_is_followed_without_lag_or_jerk_at_the_takeovers() -> None:
    """A sender at 30 Hz whose every message has five points, at (i + 1) / 30 s."""
    plan, rate, speed = schedule(0.1), 30, 0.5
    limits = Limits(np.full(6, -9.0), np.full(6, 9.0), 3.0, 20.0)
    reference, since, sent = REST, NOW, 0
    for now in range(NOW, NOW + S, CYCLE):
        if now >= NOW + sent * S // rate:
            points = [point((i + 1) / rate, speed * (sent + i + 1) / rate) for i in range(5)]
            plan.add(parse(message(*points, stamp=(NOW + sent * S // rate) / S), now))
            sent += 1
        plan.advance(now, reference, since)
        target = plan.target(now)
        assert target is not None
        reference, _ = limits.follow(reference, target, (now - since) * 1e-9)
        since = now
        if now > NOW + S // 5:
            assert reference.position == pytest.approx(speed * (now - NOW) / S, abs=1e-6)
            assert reference.velocity == pytest.approx(speed, abs=1e-4)


# Jumps


def test_a_jump_between_points_is_refused_and_what_runs_goes_on() -> None:
    plan = schedule(0.5)
    plan.add(parse(message(point(1, 1.0)), NOW))
    plan.advance(NOW, REST, NOW)
    reach = 0.5 + 3.0 * 0.1
    plan.add(parse(message(point(1, 0.0), point(1.1, reach - 0.01), stamp=1005), NOW))
    far = [0.0, 0.0, 0.0, 0.0, 0.0, -reach - 0.01]
    with pytest.raises(
        UserError, match=r'gripper would jump from 0\.0 to -46\.4 degrees in 0\.100 s: begin'
    ):
        plan.add(parse(message(point(1, 0.0), point(1.1, far)), NOW))
    target = plan.target(NOW + S // 2)
    assert target is not None and target.position == pytest.approx(0.5)


@pytest.mark.parametrize(('seconds', 'position'), [(0.0, 0.49), (0.1, 0.79), (1.0, 3.49)])
def test_a_jump_at_the_takeover_is_refused_and_everything_forgotten(
    seconds: float, position: float
) -> None:
    plan = schedule(0.5)
    plan.add(parse(message(point(1, 0.1)), NOW))
    assert plan.advance(NOW, REST, NOW)
    plan.add(parse(message(point(seconds, position)), NOW))
    assert plan.advance(NOW, REST, NOW)
    plan.add(parse(message(point(seconds, position + 0.02)), NOW))
    plan.add(parse(message(point(1, 0.1), stamp=1005), NOW))
    with pytest.raises(UserError, match=r'shoulder_pan would jump from 0\.0 to'):
        plan.advance(NOW, REST, NOW - S)  # the time before does not count
    assert not plan
    assert plan.target(NOW) is None


def test_a_joint_that_is_not_named_does_not_jump() -> None:
    plan = schedule(0.1)
    plan.add(parse(message(point(0, [0.0]), names=['gripper']), NOW, partial=True))
    assert plan.advance(NOW, Motion(np.array([9.0, 9, 9, 9, 9, 0]), ZERO), NOW)
