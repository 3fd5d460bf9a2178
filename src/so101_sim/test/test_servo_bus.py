"""The bus answers byte for byte as servos do, and otherwise not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver import registers as reg
from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_sim import fault
from so101_sim.servo import Servo
from so101_sim.servo_bus import ServoBus
from so101_sim.wire import Late


def bus(servos: list[Servo] | None = None) -> ServoBus:
    return ServoBus(servos or [Servo(i, 2000.0 + i, {}) for i in range(1, 7)])


def ask(identity: int, instruction: Instruction, *params: int) -> bytes:
    return encode(Packet(identity, instruction, bytes(params)))


def replies(data: bytes) -> list[Packet]:
    return Decoder().feed(data)


def test_the_published_vectors() -> None:
    servos = [Servo(1, float(0x0518), {})]
    one = bus(servos)
    assert one.receive(bytes.fromhex('ffff010201fb')) == bytes.fromhex('ffff010200fc')
    assert one.receive(bytes.fromhex('ffff0104023802be')) == bytes.fromhex('ffff0104001805dd')


def test_a_sync_read_is_answered_in_the_order_asked() -> None:
    answer = bus().receive(ask(BROADCAST, Instruction.SYNC_READ, 56, 2, 4, 1, 6))
    assert [(p.id, reg.PRESENT_POSITION.decode(p.params)) for p in replies(answer)] == [
        (4, 2004),
        (1, 2001),
        (6, 2006),
    ]


def test_absent_servos_leave_a_gap_in_a_sync_read() -> None:
    answer = bus().receive(ask(BROADCAST, Instruction.SYNC_READ, 56, 2, 1, 9, 2))
    assert [p.id for p in replies(answer)] == [1, 2]


def test_a_sync_write_reaches_each_servo_and_is_not_answered() -> None:
    servos = [Servo(i, 2000.0, {}) for i in (1, 2)]
    request = ask(BROADCAST, Instruction.SYNC_WRITE, 42, 2, 1, 0x10, 0x08, 2, 0x20, 0x08)
    assert bus(servos).receive(request) == b''
    assert [reg.GOAL_POSITION.decode(s.read(42, 2)) for s in servos] == [0x0810, 0x0820]


def test_a_broadcast_ping_is_answered_by_all() -> None:
    answer = bus().receive(ask(BROADCAST, Instruction.PING))
    assert [p.id for p in replies(answer)] == [1, 2, 3, 4, 5, 6]


def test_a_write_is_acknowledged_unless_the_response_level_says_not_to() -> None:
    servos = [Servo(1, 0.0, {}), Servo(2, 0.0, {reg.RESPONSE_LEVEL: 0})]
    one = bus(servos)
    assert replies(one.receive(ask(1, Instruction.WRITE, 40, 1))) == [Packet(1, 0, b'')]
    assert one.receive(ask(2, Instruction.WRITE, 40, 1)) == b''
    assert [s.read(40, 1) for s in servos] == [b'\1', b'\1']


def test_a_write_that_changes_the_id_is_acknowledged_by_the_old_one() -> None:
    one = bus([Servo(1, 0.0, {})])
    assert replies(one.receive(ask(1, Instruction.WRITE, 5, 8))) == [Packet(1, 0, b'')]
    assert replies(one.receive(ask(8, Instruction.PING))) == [Packet(8, 0, b'')]


def test_every_reply_carries_the_servos_faults() -> None:
    hot = Servo(1, 0.0, {reg.MAX_TEMPERATURE: 20})
    assert replies(bus([hot]).receive(ask(1, Instruction.PING))) == [Packet(1, 4, b'')]


@pytest.mark.parametrize(
    'request_bytes',
    [
        bytes.fromhex('ffff010201fa'),  # wrong checksum
        ask(9, Instruction.PING),
        ask(1, Instruction.READ, 120, 100),  # past the table's end
        ask(1, Instruction.READ, 56),
        encode(Packet(1, 0x77, b'')),
        b'garbage',
    ],
)
def test_nonsense_gets_silence_and_the_next_request_its_answer(request_bytes: bytes) -> None:
    one = bus()
    assert one.receive(request_bytes) == b''
    assert [p.id for p in replies(one.receive(ask(2, Instruction.PING)))] == [2]


@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_bytes_in_any_pieces_do_no_harm(data: bytes, size: int) -> None:
    one = bus()
    for start in range(0, len(data), size):
        one.receive(data[start : start + size])


def test_command_and_state_are_read_in_one_block() -> None:
    one = bus()
    one.receive(ask(1, Instruction.WRITE, 40, 1, 0, 0x20, 0x08))
    block = replies(one.receive(ask(1, Instruction.READ, 40, 31)))[0].params
    state = replies(one.receive(ask(1, Instruction.READ, 56, 15)))[0].params
    both = replies(one.receive(ask(BROADCAST, Instruction.SYNC_READ, 40, 31, 2, 1)))
    assert len(block) == 31
    assert block[:10] == bytes((1, 0, 0x20, 0x08, 0, 0, 0, 0, 0xE8, 0x03))
    assert block[16:] == state
    assert [(reply.id, len(reply.params)) for reply in both] == [(2, 31), (1, 31)]
    assert both[1].params == block


def test_a_silent_servo_neither_hears_nor_answers() -> None:
    servos = [Servo(i, 2000.0, {}) for i in (1, 2)]
    one = bus(servos)
    servos[0].inject(fault.SILENT)
    assert one.receive(ask(1, Instruction.WRITE, 40, 1)) == b''
    one.receive(ask(BROADCAST, Instruction.WRITE, 41, 7))
    assert [p.id for p in replies(one.receive(ask(BROADCAST, Instruction.PING)))] == [2]
    answer = one.receive(ask(BROADCAST, Instruction.SYNC_READ, 40, 2, 1, 2))
    assert replies(answer) == [Packet(2, 0, b'\0\7')]
    servos[0].clear(fault.SILENT)
    assert replies(one.receive(ask(1, Instruction.READ, 40, 2))) == [Packet(1, 0, b'\0\0')]


def test_a_servo_of_firmware_3_9_spoils_its_part_of_a_sync_read_only() -> None:
    servos = [Servo(i, 2000.0 + i, {}) for i in (1, 2, 3)]
    one = bus(servos)
    servos[1].inject(fault.OLD_FIRMWARE)
    decoder = Decoder()
    found = decoder.feed(one.receive(ask(BROADCAST, Instruction.SYNC_READ, 56, 2, 1, 2, 3)))
    assert ([p.id for p in found], decoder.corrupt) == ([1, 3], 1)
    assert replies(one.receive(ask(2, Instruction.READ, 0, 2))) == [Packet(2, 0, b'\3\x09')]


def test_two_servos_of_one_id_pull_one_line() -> None:
    servos = [Servo(7, 2000.0, {}), Servo(7, 1000.0, {})]
    one = bus(servos)
    assert replies(one.receive(ask(7, Instruction.PING))) == [Packet(7, 0, b'')], 'they agree'
    garbled = one.receive(ask(7, Instruction.READ, 56, 2))
    alone = [bus([servo]).receive(ask(7, Instruction.READ, 56, 2)) for servo in servos]
    assert garbled == bytes(a & b for a, b in zip(*alone, strict=True))
    assert replies(garbled) == []
    one.receive(ask(7, Instruction.WRITE, 40, 1))
    assert [servo.read(40, 1) for servo in servos] == [b'\1', b'\1']


def test_only_answered_requests_meet_the_wires_faults() -> None:
    one = bus()
    one.wire.faults[fault.LOST] = 1
    one.receive(ask(BROADCAST, Instruction.SYNC_WRITE, 42, 2, 1, 0, 8))
    assert one.receive(ask(1, Instruction.READ, 42, 2)) == b''
    assert replies(one.receive(ask(1, Instruction.READ, 42, 2))) == [Packet(1, 0, b'\0\x08')]


def test_requests_that_come_together_are_late_together() -> None:
    one = bus()
    one.wire.faults[fault.LATE] = 1
    both = one.receive(ask(1, Instruction.PING) + ask(2, Instruction.PING))
    assert isinstance(both, Late)
    assert [p.id for p in replies(both)] == [1, 2]
    assert not isinstance(one.receive(ask(1, Instruction.PING)), Late)
