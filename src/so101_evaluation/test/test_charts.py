"""Where things of a chart are."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from so101_evaluation.charts import Axis, lanes

CALMLY = settings(deadline=None, max_examples=50)  # on a busy machine, too

VALUES = st.lists(st.floats(-1e9, 1e9), max_size=40)


@CALMLY
@given(VALUES)
def test_an_axis_has_room_for_all_values_and_zero(values: list[float]) -> None:
    axis = Axis.around(values)
    assert all(0 <= axis.at(value) <= 100 for value in [0.0, *values])
    assert 3 <= len(axis.ticks) <= 9
    assert axis.ticks[0] == axis.low
    assert axis.ticks[-1] == axis.high


def test_ticks_are_at_round_numbers() -> None:
    assert list(Axis.around([9.7]).ticks) == [0, 2, 4, 6, 8, 10]


@CALMLY
@given(st.lists(st.floats(0, 100), max_size=7))
def test_few_marks_never_lie_on_each_other(places: list[float]) -> None:
    found = sorted(zip(lanes(places), places, strict=True))
    for (lane, place), (other_lane, other) in pairwise(found):
        assert lane != other_lane or other - place >= 1.9
