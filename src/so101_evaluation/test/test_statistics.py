"""Intervals and tests against the values of the literature, and what must hold of all of them."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from so101_evaluation.statistics import (
    Tally,
    difference,
    rollouts_to_show,
    same_places_p,
    wilson,
)

CALMLY = settings(deadline=None, max_examples=50)  # on a busy machine, too

TALLIES = st.builds(Tally, st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))


@pytest.mark.parametrize(
    ('successes', 'trials', 'low', 'high'),
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion (1998), table I.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_that_of_the_literature(
    successes: int, trials: int, low: float, high: float
) -> None:
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@CALMLY
@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_is_that_of_scipy(successes: int, failures: int) -> None:
    assume(successes + failures)
    found = wilson(successes, successes + failures)
    expected = binomtest(successes, successes + failures).proportion_ci(method='wilson')
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ('first', 'second', 'low', 'high'),
    # R. G. Newcombe, Interval estimation for the difference (1998), table II, method 10.
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 20), (0, 10), -0.1611, 0.2775),
        ((0, 20), (10, 10), 0.6791, 1.0),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ],
)
def test_the_difference_is_that_of_the_literature(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    tallies = [Tally(successes, trials - successes) for successes, trials in (first, second)]
    found = difference(*tallies)
    assert found is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=5e-5)


@CALMLY
@given(TALLIES)
def test_a_rate_lies_in_its_interval(tally: Tally) -> None:
    if tally.rate is None:
        assert tally.interval is None
        return
    assert tally.interval is not None
    assert tally.possible is not None
    assert 0 <= tally.interval.low <= tally.rate <= tally.interval.high <= 1
    assert 0 <= tally.possible.low <= tally.rate <= tally.possible.high <= 1
    assert tally.total == tally.labelled + tally.unlabelled


@CALMLY
@given(TALLIES, TALLIES)
def test_a_difference_turned_round_has_the_other_sign(first: Tally, second: Tally) -> None:
    one, other = difference(first, second), difference(second, first)
    if one is None or other is None:
        assert one is other
        assert not (first.labelled and second.labelled)
        return
    assert -1 <= one.interval.low <= one.value <= one.interval.high <= 1
    assert one.value == pytest.approx(-other.value)
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.shown == other.shown


def test_an_unlabelled_one_is_no_failure_but_could_be() -> None:
    tally = Tally.of(['success', 'failure', 'success', 'unlabelled'])
    assert tally.rate == pytest.approx(2 / 3)
    assert tally.possible is not None
    assert (tally.possible.low, tally.possible.high) == (0.5, 0.75)


@CALMLY
@given(TALLIES, TALLIES)
def test_one_place_is_fishers_test(first: Tally, second: Tally) -> None:
    found = same_places_p([(first, second)])
    table = [[first.successes, first.failures], [second.successes, second.failures]]
    expected = fisher_exact(table).pvalue
    assert found == pytest.approx(expected) if found is not None else expected == 1


@CALMLY
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 9))
def test_one_rollout_of_each_at_every_place_is_mcnemars_test(
    better: int, worse: int, alike: int
) -> None:
    success, failure = Tally(1, 0), Tally(0, 1)
    pairs = [(failure, success)] * better + [(success, failure)] * worse
    pairs += [(success, success)] * alike
    found = same_places_p(pairs)
    if better + worse == 0:
        assert found is None
    else:
        assert found == pytest.approx(binomtest(better, better + worse).pvalue)


def test_places_of_unlike_difficulty_disturb_nothing() -> None:
    easy, hard = (Tally(9, 1), Tally(10, 0)), (Tally(0, 10), Tally(1, 9))
    within = same_places_p([easy, hard])
    assert within is not None
    assert 0.3 < within <= 1


def test_the_number_of_rollouts_is_that_of_the_textbook() -> None:
    # 60 % against 80 %, 5 % two-sided, power 80 %: 81.2, and 65 % against 75 %: 328.
    assert rollouts_to_show(0.2, 0.7) == 82
    assert rollouts_to_show(0.1, 0.7) == 329


@CALMLY
@given(st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_a_smaller_difference_needs_more(gap: float, rate: float) -> None:
    assert rollouts_to_show(gap, rate) >= 1
    assert rollouts_to_show(gap / 2, rate) >= rollouts_to_show(gap, rate)


def test_no_number_of_rollouts_shows_no_difference() -> None:
    with pytest.raises(ValueError, match='gap'):
        rollouts_to_show(0.0, 0.5)
