"""Checks of joints, texts and labels, on takes that are made for them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats

from so101_description.joints import JOINTS
from so101_training.checks import (
    following,
    grasp,
    labels,
    lag,
    limits,
    outliers,
    pauses,
    statistics,
    task_text,
    units,
)
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import Collection, Signal, Substitution, Take
from so101_training.checks.verdict import GOOD, judged
from so101_training.scripted import defects
from so101_training.scripted.motion import Motion, Plan, moved
from so101_training.scripted.scene import TASK

RANDOM = np.random.default_rng(8)
MOTIONS = [moved(Plan.drawn(RANDOM), RANDOM) for _ in range(12)]
ODD = 5  # the episode that is spoilt


def take(motion: Motion, number: int) -> Take:
    seconds = np.arange(len(motion.seconds)) / 30.0
    return Take(
        number, f'take_{number}', (TASK,), 'unlabelled', '', 30.0, len(seconds) / 30.0,
        Signal(seconds, motion.state.astype(np.float64)),
        Signal(seconds, motion.action.astype(np.float64)), {},
    )  # fmt: skip


TAKES = tuple(take(motion, number) for number, motion in enumerate(MOTIONS))


def statistics_of(takes: tuple[Take, ...]) -> dict[str, dict[str, list[float]]]:
    found = {}
    for name, signals in (
        ('observation.state', [t.state for t in takes]),
        ('action', [t.action for t in takes]),
    ):
        values = np.concatenate([signal.values for signal in signals if signal])
        found[name] = {
            'min': values.min(axis=0).tolist(), 'max': values.max(axis=0).tolist(),
            'mean': values.mean(axis=0).tolist(), 'std': values.std(axis=0).tolist(),
        }  # fmt: skip
    return found


CLEAN = Collection('takes', TAKES, True, statistics_of(TAKES))


def with_one(spoilt: Take) -> Collection:
    return replace(CLEAN, takes=(*TAKES[:ODD], spoilt, *TAKES[ODD + 1 :]))


def spoilt(change: Callable[[Motion], Motion]) -> Collection:
    return with_one(take(change(MOTIONS[ODD]), ODD))


def only(found: list[Finding], name: str, severity: str | None = None) -> Finding:
    """Return the worst finding, after making sure that all are of this check and episode."""
    assert {(each.check, each.number) for each in found} == {(name, ODD)}
    worst = sorted(found, key=lambda each: each.severity != BAD)[0]
    assert severity in (None, worst.severity)
    return worst


def test_nothing_is_found_in_good_episodes() -> None:
    judgement = judged(CLEAN)
    assert [each.verdict for each in judgement.verdicts] == [GOOD] * len(TAKES)
    assert judgement.good and not judgement.whole


@pytest.mark.parametrize('samples', [-6, 8])
def test_a_state_of_another_time(samples: int) -> None:
    found = only(list(lag.find(spoilt(lambda m: defects.shifted(m, samples)))), 'lag', BAD)
    assert 'before' in found.text if samples < 0 else 'after' in found.text


def test_an_action_that_is_the_state() -> None:
    takes = tuple(replace(each, action=each.state) for each in TAKES)
    found = list(lag.find(replace(CLEAN, takes=takes)))
    assert [each.number for each in found] == [None]
    assert 'the same in 12 of 12' in found[0].text


def test_a_blocked_joint() -> None:
    spoiled = spoilt(lambda m: defects.blocked(m, 2, 60, 100, -25.0))
    found = only(list(following.find(spoiled)), 'following', BAD)
    assert 'elbow_flex' in found.text
    assert found.seconds is not None
    assert found.seconds == pytest.approx((2.0, 3.3), abs=0.3)


def test_an_action_that_stays_at_a_limit() -> None:
    spoiled = spoilt(lambda m: defects.clipped(m, 0, 60, 130))
    assert 'shoulder_pan' in only(list(following.find(spoiled)), 'following', DOUBTFUL).text


@pytest.mark.parametrize(('by', 'severity'), [(15.0, DOUBTFUL), (45.0, BAD)])
def test_a_joint_beyond_its_limit(by: float, severity: str) -> None:
    spoiled = spoilt(lambda m: defects.beyond(m, 3, 60, 90, by))
    assert 'wrist_flex' in only(list(limits.find(spoiled)), 'limits', severity).text


@pytest.mark.parametrize(
    ('in_units', 'severity', 'said'),
    [('radians', BAD, 'radians'), ('ticks', BAD, 'other units'), ('percent', DOUBTFUL, '100')],
)
def test_other_units(in_units: str, severity: str, said: str) -> None:
    spoiled = spoilt(lambda m: defects.in_units(m, in_units))
    assert said in only(list(units.find(spoiled)), 'units', severity).text


def test_other_units_in_all_of_them_are_told_once_more_of_all() -> None:
    takes = tuple(take(defects.in_units(m, 'radians'), n) for n, m in enumerate(MOTIONS))
    found = list(units.find(replace(CLEAN, takes=takes)))
    assert any(each.number is None and '12 of 12' in each.text for each in found)
    assert {each.number for each in found} == {None, *range(12)}


@pytest.mark.parametrize(('at', 'where'), [(0, 'start'), (100, 'within'), (-1, 'end')])
def test_long_pauses(at: int, where: str) -> None:
    stop = at % len(MOTIONS[ODD].seconds)
    found = only(list(pauses.find(spoilt(lambda m: defects.paused(m, stop, 120)))), 'pauses')
    assert where in found.text


def test_an_arm_that_never_moves() -> None:
    spoiled = spoilt(lambda m: defects.paused(defects.cut(m, 2), 0, 200))
    assert 'does not move' in only(list(pauses.find(spoiled)), 'pauses', BAD).text


def test_short_and_long_ones() -> None:
    short = spoilt(lambda m: defects.cut(m, 30))
    assert 'lasts 1.0 s' in only(list(outliers.find(short)), 'outliers', BAD).text
    assert only(list(outliers.find(spoilt(lambda m: defects.wandering(m, 3)))), 'outliers')


def test_a_grasp_of_nothing_and_one_that_slipped() -> None:
    empty = moved(MOTIONS[ODD].plan.but(grasped=False), RANDOM)
    found = only(list(grasp.find(with_one(take(empty, ODD)))), 'grasp', BAD)
    assert 'closes on nothing' in found.text and 'at 22' in found.text
    only(list(grasp.find(spoilt(lambda m: defects.lost(m, 0.4)))), 'grasp', BAD)


def test_a_gripper_that_never_opens_again() -> None:
    motion = MOTIONS[ODD]
    stop = int(np.flatnonzero(motion.held)[-1]) - 5
    found = only(list(grasp.find(spoilt(lambda m: defects.cut(m, stop)))), 'grasp', DOUBTFUL)
    assert 'does not open again' in found.text


def test_grasps_are_not_judged_where_nothing_is_gripped() -> None:
    """All close on nothing: then that is what the task is."""
    takes = tuple(take(moved(m.plan.but(grasped=False), RANDOM), n) for n, m in enumerate(MOTIONS))
    assert not list(grasp.find(replace(CLEAN, takes=takes)))


def test_a_labelled_failure() -> None:
    collection = with_one(replace(TAKES[ODD], outcome='failure', reason='dropped'))
    assert 'dropped' in only(list(labels.find(collection)), 'failure', BAD).text


def test_task_texts() -> None:
    for text, severity in (('', BAD), ('  ', BAD), (TASK.upper(), DOUBTFUL)):
        collection = with_one(replace(TAKES[ODD], tasks=(text,)))
        only(list(task_text.find(collection)), 'task', severity)
    assert not list(task_text.find(with_one(replace(TAKES[ODD], tasks=('Wipe the table',)))))


@pytest.mark.parametrize(
    ('one', 'other', 'same'),
    [
        ('Pick up the cube', 'pick up the cube.', True),
        ('Pick up the cube', 'Pick up cube', True),
        ('Pick up the cube', 'Pick up the cubes', True),
        ('Pick up the red cube', 'Pick up the blue cube', False),
        ('Pick up the cube', 'Pick up the cube and place it', False),
        ('Push it left', 'Push it right', False),
    ],
)
def test_which_texts_are_one_task(one: str, other: str, same: bool) -> None:
    assert task_text.same_task(one, other) is same
    assert task_text.same_task(other, one) is same


def spoilt_statistics(**values: object) -> Collection:
    found = statistics_of(TAKES)
    found['action'] |= values  # type: ignore[arg-type]
    return replace(CLEAN, statistics=found)


@pytest.mark.parametrize(
    ('collection', 'said'),
    [
        (replace(CLEAN, statistics={}), 'missing'),
        (replace(CLEAN, statistics={'action': statistics_of(TAKES)['action']}), 'nothing of obs'),
        (spoilt_statistics(mean=[float('nan')] * 6), 'not finite'),
        (spoilt_statistics(std=[1.0, 1, 1, 1, 1, 0]), JOINTS[5]),
        (spoilt_statistics(mean=[1.0, 2, 3]), 'expected 6'),
        (spoilt_statistics(mean=[-3.0, -50, 50, 50, 90, 20]), 'other data'),
        (spoilt_statistics(max=[200.0] * 6), 'max of action'),
        (spoilt_statistics(std='wide'), 'expected numbers'),
    ],
)  # fmt: skip
def test_statistics_that_are_not_those_of_the_data(collection: Collection, said: str) -> None:
    found = list(statistics.find(collection))
    assert {each.number for each in found} == {None}
    assert any(said in each.text and each.severity == BAD for each in found)


def test_statistics_as_lerobot_rounds_them_are_those_of_the_data() -> None:
    """Its 32 bits are a tenth off for a joint that stands far from zero and hardly moves."""

    def still(motion: Motion) -> Motion:
        state, action = motion.state.copy(), motion.action.copy()
        state[:, 4] = 89.6 + 0.01 * state[:, 4]
        action[:, 4] = 89.6 + 0.01 * action[:, 4]
        return replace(motion, state=state, action=action)

    takes = tuple(take(still(motion), number) for number, motion in enumerate(MOTIONS))
    exact = statistics_of(takes)
    rounded: dict[str, Any] = {}
    for name, signals in (
        ('observation.state', [t.state for t in takes]),
        ('action', [t.action for t in takes]),
    ):
        episodes = [
            {name: get_feature_stats(signal.values.astype(np.float32), axis=0, keepdims=False)}
            for signal in signals
            if signal
        ]
        rounded[name] = aggregate_stats(episodes)[name]
    width = exact['action']['std'][4]
    assert rounded['action']['std'][4] != pytest.approx(width, rel=0.01)
    assert not list(statistics.find(Collection('takes', takes, True, rounded)))
    assert not list(statistics.find(Collection('takes', takes, True, exact)))
    rounded['action']['std'][4] *= 1.5
    [found] = statistics.find(Collection('takes', takes, True, rounded))
    assert f'std of {JOINTS[4]} in action' in found.text


def test_what_the_conversion_made_up_is_told() -> None:
    several = Substitution('wrist', 'repeated', 100, 0.6)
    few = Substitution('overhead', 'late', 3, 0.03)
    usual = Substitution('observation.state', 'interpolated', 250, 8.0)
    judgement = judged(with_one(replace(TAKES[ODD], substitutions=(several, few, usual))))
    found = judgement.verdicts[ODD].findings
    assert [each.severity for each in found] == [BAD]
    assert '100 samples of wrist' in found[0].text


def test_takes_without_joints_are_no_reason_to_stop() -> None:
    bare = replace(TAKES[ODD], state=None, action=None)
    judgement = judged(replace(CLEAN, takes=(bare,), statistics={}))
    assert judgement.verdicts[0].verdict == GOOD
    assert judged(replace(CLEAN, takes=())).verdicts == ()
