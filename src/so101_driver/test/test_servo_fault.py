"""A status byte is told in words, with a reaction and a cure for each."""

from hypothesis import given
from hypothesis import strategies as st

from so101_driver.servo_fault import SERVO_FAULTS, Reaction, reported


@given(st.integers(0, 255))
def test_every_bit_is_reported_once(status: int) -> None:
    found = reported(status)
    assert sum(fault.bit for fault in found) == status
    assert len({fault.name for fault in found}) == len(found)
    assert all(fault.cure for fault in found)


def test_a_bit_that_nobody_documents_is_named_by_its_number() -> None:
    assert [fault.name for fault in reported(32 | 64)] == ['overload', 'status 64']


def test_only_a_servo_that_does_not_know_where_it_is_goes_limp() -> None:
    limp = [fault.name for fault in SERVO_FAULTS if fault.reaction is Reaction.RELEASE]
    assert limp == ['encoder']
