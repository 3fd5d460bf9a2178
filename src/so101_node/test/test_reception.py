"""Loss and latency are exact, from the middleware's own numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_node.reception import Reception


def info(number: int, latency: int = 1_000_000) -> dict[str, int]:
    return {
        'publication_sequence_number': number,
        'source_timestamp': 5,
        'received_timestamp': 5 + latency,
    }


@given(st.sets(st.integers(1, 200), min_size=1))
def test_every_number_between_first_and_last_is_received_or_lost(numbers: set[int]) -> None:
    reception = Reception()
    for number in sorted(numbers):
        reception.add(info(number))
    assert reception.received == len(numbers)
    assert reception.received + reception.lost == max(numbers) - min(numbers) + 1


def test_a_restarted_publisher_loses_nothing() -> None:
    reception = Reception()
    for number in (7, 8, 1, 2):
        reception.add(info(number))
    assert (reception.received, reception.lost) == (4, 0)


def test_latency_is_in_seconds() -> None:
    reception = Reception()
    reception.add(info(1, latency=2_500_000))
    assert reception.latency.percentile(50) == pytest.approx(0.0025)
