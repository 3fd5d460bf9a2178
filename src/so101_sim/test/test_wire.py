"""What the wire does to replies, and to how many."""

import math

from so101_driver.packet import Decoder, Packet, encode
from so101_sim.fault import CORRUPT, FOREIGN, LATE, LOST, TRUNCATED, Fault
from so101_sim.wire import Late, Wire

REPLIES = [encode(Packet(servo, 0, bytes((servo, 2, 3)))) for servo in range(1, 7)]


def wire(fault: Fault, requests: float) -> Wire:
    one = Wire()
    one.faults[fault] = requests
    return one


def test_a_reply_without_faults_is_carried_as_it_is() -> None:
    assert [Wire().carry(reply) for reply in REPLIES] == REPLIES


def test_a_fault_strikes_so_many_replies_and_is_over() -> None:
    one = wire(LOST, 2)
    assert [one.carry(reply) for reply in REPLIES] == [b'', b'', *REPLIES[2:]]
    assert one.faults == {}


def test_silence_is_no_reply_to_be_struck() -> None:
    one = wire(LOST, 1)
    assert one.carry(b'') == b''
    assert one.carry(REPLIES[0]) == b''


def test_a_fault_without_a_number_lasts() -> None:
    one = wire(LOST, math.inf)
    assert not any(one.carry(reply) for reply in REPLIES * 100)


def test_a_truncated_reply_is_a_true_part_of_it() -> None:
    one = wire(TRUNCATED, math.inf)
    parts = [(reply, one.carry(reply)) for reply in REPLIES * 20]
    assert all(reply.startswith(part) and 0 < len(part) < len(reply) for reply, part in parts)
    assert len({len(part) for _, part in parts}) > 3


def test_a_corrupt_reply_has_one_wrong_bit() -> None:
    one = wire(CORRUPT, math.inf)
    places = set()
    for reply in REPLIES * 20:
        wrong = int.from_bytes(reply) ^ int.from_bytes(one.carry(reply))
        assert wrong.bit_count() == 1
        places.add(wrong)
    assert len(places) > 30


def test_foreign_packets_come_before_the_reply_and_are_well_formed() -> None:
    one = wire(FOREIGN, 3)
    carried = [Decoder().feed(one.carry(reply)) for reply in REPLIES]
    assert carried[0] == [Packet(2, 0, b'\1\2\3'), Packet(1, 0, b'\1\2\3')]
    assert carried[1] == [Packet(2, 0, b'\2\2\3\0\0'), Packet(2, 0, b'\2\2\3')]
    assert carried[2] == [Packet(2, 0, b'\2\2\3'), Packet(3, 0, b'\3\2\3')]
    assert carried[3] == [Packet(4, 0, b'\4\2\3')]


def test_a_late_reply_is_marked_and_whole() -> None:
    one = wire(LATE, 1)
    late = one.carry(REPLIES[0])
    assert isinstance(late, Late)
    assert late == REPLIES[0]
    assert not isinstance(one.carry(REPLIES[1]), Late)


def test_faults_come_together() -> None:
    one = wire(LATE, 1)
    one.faults[TRUNCATED] = 1
    both = one.carry(REPLIES[0])
    assert isinstance(both, Late)
    assert len(both) < len(REPLIES[0])
