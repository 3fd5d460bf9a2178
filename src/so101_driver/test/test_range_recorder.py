"""A joint's range, followed past the place where its encoder starts again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from so101_driver.range_recorder import Range, RangeRecorder

TURN = 4096
THOROUGH = settings(max_examples=300, deadline=None)


def record(middle: int, *ends: int) -> RangeRecorder:
    """Move a joint from `middle` to each of `ends` (encoder steps, unwrapped), step by step."""
    recorder = RangeRecorder(middle % TURN)
    place = middle
    for end in ends:
        while place != end:
            place += max(-300, min(300, end - place))
            recorder.feed(place % TURN)
    return recorder


def test_a_range_with_room_around_it_has_lerobots_offset() -> None:
    recorder = record(2500, 1400, 3800, 2500)
    assert (recorder.low, recorder.now, recorder.high) == (947, 2047, 3347)
    assert recorder.result() == Range(2500 - 2047, 947, 3347)


def test_a_range_across_the_encoders_seam_is_in_one_piece() -> None:
    assert record(4000, 2900, 5100).result() == Range(4000 - 2047, 947, 3147)
    assert record(0, -1100, 1100).result() == Range(-2047, 947, 3147)


def test_a_range_that_would_cross_position_0_has_the_range_in_the_middle() -> None:
    """The joint stood near one of its ends when calibration began."""
    assert record(2000, 1900, 4500).result() == Range(3200 - 2047, 747, 3347)
    assert record(2000, -500, 2100).result() == Range(800 - 2047, 747, 3347)


def test_a_range_that_comes_near_position_0_is_moved_away_from_it() -> None:
    assert record(2047, 30, 2100).result() == Range(1065 - 2047, 1012, 3082)


def test_a_joint_that_turned_all_round_has_the_whole_turn() -> None:
    assert record(1000, -1000, 3095).result() == Range(1000 - 2047, 0, 4095)
    assert record(1000, 9000).result() == Range(1000 - 2047, 0, 4095)


def test_an_offset_that_the_register_cannot_hold_becomes_its_neighbour() -> None:
    """LeRobot's would be 2048, which does not fit 11 bits."""
    assert record(4095, 3095, 5095).result() == Range(2047, 1048, 3048)


@THOROUGH
@given(st.integers(0, 4095), st.integers(1, 4000), st.integers(1, 4000))
def test_every_range_shorter_than_a_turn_is_contiguous_and_right(
    middle: int, below: int, above: int
) -> None:
    recorder = record(middle, middle - below, middle + above)
    offset, low, high = recorder.result()
    assert not recorder.lost
    assert -2047 <= offset <= 2047
    if below + above >= 4095:
        assert (low, high) == (0, 4095)
        return
    assert 0 <= low < high <= 4095
    # What the servo reports with this offset at any place of the range.
    for encoder, position in (
        (middle - below, low),
        (middle, low + below),
        (middle + above, high),
    ):
        assert (encoder - offset) % TURN == position


def test_a_joint_that_jumps_is_lost_for_good() -> None:
    recorder = RangeRecorder(1000)
    recorder.feed(2024)
    assert not recorder.lost
    recorder.feed(3049)
    recorder.feed(3050)
    assert recorder.lost
