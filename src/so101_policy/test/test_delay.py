"""The delay that is foreseen: not a cold model's, not a spike's, and a new normal soon."""

from so101_policy.delay import Delays


def foreseen(*ticks: float) -> int | None:
    delays = Delays()
    for each in ticks:
        delays.add(each)
    return delays.foreseen()


def test_nothing_is_foreseen_of_nothing() -> None:
    assert foreseen() is None


def test_a_cold_model_is_believed_only_until_it_is_warm() -> None:
    assert foreseen(21.0) == 21
    assert foreseen(21.0, 6.2) == 7


def test_spikes_do_not_count_and_a_new_normal_does() -> None:
    usual = [6.2] * 40
    assert foreseen(*usual, 33.0, 6.2, 35.0, 6.2, 30.0) == 7
    assert foreseen(*usual, *[9.5] * 9) == 10
    assert foreseen(*[9.5] * 40, *[6.2] * 30) == 7
