"""Stretches, shifts and what is usual: the arithmetic under the checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_training.checks.robust import ENOUGH, Usual
from so101_training.checks.runs import joined, runs
from so101_training.checks.shift import shift

MASKS = st.lists(st.booleans(), max_size=40).map(lambda mask: np.array(mask, dtype=bool))


@given(MASKS)
def test_stretches_are_where_the_mask_is_true(mask: np.ndarray) -> None:
    again = np.zeros_like(mask)
    last = -1
    for start, stop in runs(mask):
        assert last < start < stop  # with a gap between two
        again[start:stop] = True
        last = stop
    assert np.array_equal(again, mask)


@given(MASKS, st.integers(0, 5))
def test_joining_fills_short_holes_only(mask: np.ndarray, gap: int) -> None:
    filled = joined(mask, gap)
    assert (filled >= mask).all()
    holes = [stop - start for start, stop in runs(~filled) if start > 0 and stop < len(mask)]
    assert all(hole > gap for hole in holes)
    assert np.array_equal(joined(filled, gap), filled)


@given(st.integers(-8, 8), st.integers(0, 2**32 - 1))
def test_a_shift_is_found(by: int, seed: int) -> None:
    series = np.random.default_rng(seed).normal(size=(120, 2)).cumsum(axis=0)
    series -= series.mean(axis=0)
    found = shift(series[20:100], series[20 - by : 100 - by], 10)
    assert found is not None
    assert found.samples == pytest.approx(by, abs=0.6)
    assert found.likeness > 0.9


def test_there_is_no_shift_of_what_does_not_vary_or_is_too_short() -> None:
    assert shift(np.zeros((90, 1)), np.zeros((90, 1)), 10) is None
    assert shift(np.ones((20, 1)), np.ones((20, 1)), 10) is None


def test_what_is_usual_does_not_care_for_the_odd_ones() -> None:
    usual = Usual.of([1.0] * 10 + [1.1] * 10 + [50.0] * 3 + [float('nan')])
    assert usual is not None
    assert usual.median == pytest.approx(1.1)
    assert usual.score(50.0, 0.01) > 100
    assert Usual.of([1.0] * (ENOUGH - 1)) is None
