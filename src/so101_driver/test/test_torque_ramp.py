"""Torque comes on from almost nothing, and a joint that moves by itself is caught early."""

from hypothesis import given
from hypothesis import strategies as st

from so101_driver.torque_ramp import SECONDS, TorqueRamp

START = 5_000_000_000
END = START + round(SECONDS * 1e9)
GOALS = [2000] * 6


def test_it_begins_gently_and_ends_at_full_torque() -> None:
    ramp = TorqueRamp(START, GOALS, GOALS)
    assert 0 < ramp.part(START) < 0.05
    assert ramp.part(END) == 1.0
    assert not ramp.over(END - 1)
    assert ramp.over(END)


@given(st.integers(START - 10**9, END + 10**9), st.integers(0, 10**9))
def test_it_never_goes_down(now: int, later: int) -> None:
    ramp = TorqueRamp(START, GOALS, GOALS)
    assert ramp.part(now) <= ramp.part(now + later)


def test_half_a_degree_is_too_much_while_it_begins_but_not_a_droop_at_its_end() -> None:
    ramp = TorqueRamp(START, GOALS, GOALS)
    drooped = [2000, 2007, 2000, 1993, 2000, 2000]
    assert ramp.moved(START + 5_000_000, drooped) == [1, 3]
    assert ramp.moved(END - 1, drooped) == []
    assert ramp.moved(END - 1, [2040, *GOALS[1:]]) == []
    assert ramp.moved(END - 1, [2100, *GOALS[1:]]) == [0]


def test_a_joint_that_lies_outside_its_limits_is_drawn_in() -> None:
    ramp = TorqueRamp(START, [980, *GOALS[1:]], [1000, *GOALS[1:]])
    for position, moved in ((980, []), (990, []), (1000, []), (973, [0]), (1007, [0])):
        assert ramp.moved(START, [position, *GOALS[1:]]) == moved
