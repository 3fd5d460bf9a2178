"""How long inferences are said to take."""

from itertools import islice

import pytest

from so101_evaluation.latency import SPIKES, Latency
from so101_node.error import UserError


def draws(latency: Latency, seed: int, count: int = 1000) -> list[float]:
    return list(islice(latency.draws(seed), count))


def test_without_spikes_every_inference_takes_as_long() -> None:
    assert set(draws(Latency(0.2), 7)) == {0.2}
    assert set(draws(Latency(0.0), 7)) == {0.0}


def test_some_of_a_hundred_are_spikes_of_the_same_length() -> None:
    drawn = draws(Latency(0.2, spikes=True), 7, 10_000)
    assert sorted(set(drawn)) == pytest.approx([0.2, 1.1])
    assert sum(seconds > 1 for seconds in drawn) == pytest.approx(100 * SPIKES, rel=0.25)


def test_spikes_are_the_same_for_the_same_seed_and_for_every_latency() -> None:
    drawn = draws(Latency(0.2, spikes=True), 7)
    assert drawn == draws(Latency(0.2, spikes=True), 7)
    assert drawn != draws(Latency(0.2, spikes=True), 8)
    sooner = draws(Latency(0.0, spikes=True), 7)
    assert [seconds + 0.2 for seconds in sooner] == pytest.approx(drawn)


@pytest.mark.parametrize('seconds', [-0.1, 5.1, float('nan'), float('inf')])
def test_a_latency_that_nobody_can_use_is_refused(seconds: float) -> None:
    with pytest.raises(UserError, match='give 0 to 5'):
        Latency(seconds)


def test_it_is_named_as_in_tables() -> None:
    assert str(Latency(0.2)) == '200 ms'
    assert str(Latency(0.0333, spikes=True)) == '33 ms with spikes'
