"""The arm follows sound chunks, and holds with a reason for whatever else comes."""

from typing import Any

import numpy as np
import pytest

from so101_description.joints import GRIPPER, HOME
from so101_policy.pilot import Pilot
from so101_policy.plan import Limits, Plan
from so101_policy.schedule import Mode, Schedule

START = 1_700_000_000_123_456_789
FPS = 30
LIMITS = Limits(3.0, 15.0, 400.0)


def at(seconds: float) -> int:
    return START + round(seconds * 1e9)


def enabled() -> Pilot:
    pilot = Pilot(Schedule(FPS, Mode.RTC, LIMITS, 10), FPS)
    pilot.enable(START, HOME)
    return pilot


def swing(first: int = 0) -> Any:
    """Return 50 actions of a way from home, the first due `first` ticks after START."""
    ticks = first + np.arange(50)[:, None]
    return HOME + 0.3 * (1 - np.cos(2 * np.pi * 0.4 * ticks / FPS)) * [1, 1, -1, -1, -1, 1]


def moving() -> tuple[Pilot, Plan]:
    pilot = enabled()
    pilot.ask(START)
    plan = pilot.answer(swing(), at(0.1))
    assert plan is not None
    return pilot, plan


def test_it_follows_a_chunk_and_counts_it() -> None:
    pilot, plan = moving()
    assert plan is pilot.schedule.plan
    assert pilot.counts.followed == 1
    assert not pilot.held
    assert pilot.smoothness.figures()['change_mean_degrees'] < 1.0


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (np.nan, 'not finite'),
        (np.inf, 'not finite'),
        (5.0, 'sends shoulder_pan out of its range'),
        (1.7, 'sends shoulder_pan from where it is'),
    ],
)
def test_an_unsound_chunk_is_not_followed_and_a_sound_one_ends_the_hold(
    spoil: float, reason: str
) -> None:
    pilot, before = moving()
    pilot.ask(at(0.333))
    actions = swing(10)
    actions[:, 0] = spoil
    plan = pilot.answer(actions, at(0.4))
    assert plan is not None
    assert reason in pilot.held
    assert pilot.counts.unsound == 1
    assert plan.end <= at(0.9), 'at rest within half a second'
    np.testing.assert_allclose(plan.positions[0], before.at(at(0.4))[0])

    assert pilot.is_due(at(1.0)), 'it asks again'
    pilot.ask(at(1.0))
    assert pilot.answer(swing(10), at(1.1)) is not None
    assert not pilot.held


def test_a_leap_within_a_chunk_is_refused() -> None:
    pilot, _ = moving()
    pilot.ask(at(0.333))
    actions = swing(10)
    actions[20:, 1] += 1.0
    pilot.answer(actions, at(0.4))
    assert 'sends shoulder_lift in a leap' in pilot.held


def test_a_gripper_may_be_open_or_closed_and_nothing_between() -> None:
    pilot, _ = moving()
    pilot.ask(at(0.333))
    actions = swing(10)
    actions[:25, GRIPPER], actions[25:, GRIPPER] = 1.7, -0.1
    assert pilot.answer(actions, at(0.4)) is not None
    assert not pilot.held


def test_stale_inputs_hold_once_and_fresh_ones_go_on() -> None:
    pilot, _ = moving()
    plan = pilot.watch(at(0.5), 'the wrist image is 0.6 s old', '', None)
    assert plan is not None
    assert plan.end <= at(1.0)
    assert pilot.held == 'the wrist image is 0.6 s old'
    assert pilot.watch(at(0.55), 'the wrist image is 0.65 s old', '', None) is None
    assert pilot.watch(at(0.6), '', '', HOME) is None
    assert pilot.held, 'until a chunk comes'
    pilot.ask(at(0.7))
    assert pilot.answer(swing(21), at(0.8)) is not None
    assert not pilot.held


def test_a_chunk_that_comes_too_late_is_counted_and_the_arm_runs_dry_smoothly() -> None:
    pilot, plan = moving()
    pilot.ask(at(0.333))
    assert pilot.answer(swing(10), at(2.2)) is None
    assert pilot.counts.late == 1
    assert pilot.schedule.plan is plan
    for now in np.arange(1.0, 3.01, 0.1):
        pilot.watch(at(now), '', '', None)
    assert pilot.starved == pytest.approx(3.0 - 50 / FPS, abs=0.15)


def test_an_arm_that_is_not_where_it_was_sent_is_led_to_where_it_is() -> None:
    pilot, plan = moving()
    stuck = plan.at(at(0.6))[0]
    stuck[0] -= np.deg2rad(40)
    assert pilot.watch(at(0.7), '', '', stuck) is None, 'it may be on its way'
    stop = pilot.watch(at(1.3), '', '', stuck)
    assert stop is not None
    np.testing.assert_allclose(stop.positions[0], plan.at(at(1.3))[0])
    np.testing.assert_allclose(stop.positions[-1], stuck, atol=np.deg2rad(3))
    assert 'shoulder_pan is' in pilot.held
    assert pilot.is_due(at(1.4))


def test_a_driver_in_a_fault_is_where_the_policy_goes_on_from() -> None:
    pilot, plan = moving()
    stands = plan.at(at(0.5))[0]
    assert pilot.watch(at(0.9), '', 'elbow_flex is too hot', stands) is None
    assert pilot.held == 'the driver is in a fault: elbow_flex is too hot'
    pilot.watch(at(3.0), '', '', stands)
    pilot.ask(at(3.1))
    plan = pilot.answer(swing(93), at(3.2))  # type: ignore[assignment]
    np.testing.assert_allclose(plan.positions[0], stands)
    assert not pilot.held


def test_a_clock_that_is_set_back_holds_and_goes_on() -> None:
    pilot, plan = moving()
    pilot.watch(at(0.5), '', '', plan.at(at(0.4))[0])
    pilot.watch(at(-60), '', '', plan.at(at(0.45))[0])
    assert pilot.held == 'the clock was set back'
    assert pilot.is_due(at(-59.9))
    pilot.ask(at(-59.9))
    assert pilot.answer(swing(13), at(-59.8)) is not None
    assert not pilot.held


def test_enabling_twice_or_amid_the_braking_leaves_the_motion_as_it_is() -> None:
    pilot, plan = moving()
    pilot.enable(at(0.5), HOME)
    assert pilot.schedule.plan is plan
    stop = pilot.disable(at(0.6))
    pilot.enable(at(0.65), HOME)
    assert pilot.schedule.plan is stop
    pilot.ask(at(0.7))
    following = pilot.answer(swing(21), at(0.8))
    assert stop is not None and following is not None
    np.testing.assert_allclose(following.positions[0], stop.at(at(0.8))[0])


def test_a_gripper_that_holds_something_is_where_it_should_be() -> None:
    pilot, plan = moving()
    for now in np.arange(0.2, 1.5, 0.05):
        pose = plan.at(at(now))[0]
        pose[GRIPPER] += 1.0
        assert pilot.watch(at(now), '', '', pose) is None
    assert not pilot.held


def test_disabling_brakes_and_nothing_more_is_followed() -> None:
    pilot, _ = moving()
    pilot.ask(at(0.333))
    plan = pilot.disable(at(0.4))
    assert plan is not None
    assert plan.end <= at(0.9)
    assert pilot.answer(swing(10), at(0.5)) is None
    assert not pilot.is_due(at(1.0))
    assert pilot.watch(at(1.0), 'no image', '', None) is None
    assert pilot.disable(at(1.1)) is None


def test_a_reset_amid_an_inference_does_not_follow_its_chunk() -> None:
    pilot, _ = moving()
    pilot.ask(at(0.333))
    assert pilot.reset(at(0.4)) is not None
    assert pilot.answer(swing(10), at(0.5)) is None
    assert pilot.is_due(at(0.5))
