"""The codec gives back what it was given, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver.packet import Decoder, Instruction, Packet, encode
from so101_driver.registers import GOAL_POSITION, HOMING_OFFSET, LOCK, PRESENT_LOAD, Register

packets = st.builds(Packet, st.integers(0, 0xFE), st.integers(0, 255), st.binary(max_size=253))
# Without FF, which could be the start of a frame.
noise = st.binary(max_size=20).map(lambda data: data.replace(b'\xff', b'\xfe'))


@pytest.mark.parametrize(
    ('packet', 'frame'),
    [
        (Packet(1, Instruction.PING, b''), 'FF FF 01 02 01 FB'),
        (Packet(1, 0, b''), 'FF FF 01 02 00 FC'),
        (Packet(1, Instruction.READ, bytes((56, 2))), 'FF FF 01 04 02 38 02 BE'),
        (Packet(1, 0, bytes((0x18, 0x05))), 'FF FF 01 04 00 18 05 DD'),
    ],
)
def test_frames_are_those_of_the_protocol(packet: Packet, frame: str) -> None:
    assert encode(packet) == bytes.fromhex(frame)
    assert Decoder().feed(bytes.fromhex(frame)) == [packet]


@given(st.lists(st.tuples(noise, packets), max_size=5), st.data())
def test_frames_are_found_between_noise_in_pieces_of_any_size(
    sent: list[tuple[bytes, Packet]], data: st.DataObject
) -> None:
    stream = b''.join(garbage + encode(packet) for garbage, packet in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    decoder = Decoder()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:end])
    assert received == [packet for _, packet in sent]
    assert decoder.corrupt == 0


@given(packets, st.data())
def test_a_frame_with_one_wrong_byte_is_never_delivered(
    packet: Packet, data: st.DataObject
) -> None:
    frame = bytearray(encode(packet))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    assert packet not in Decoder().feed(bytes(frame))


def test_the_frame_after_a_corrupt_one_is_found_and_the_corrupt_one_counted() -> None:
    good = Packet(2, 0, b'\1\2')
    corrupt = encode(Packet(1, 0, b'\1\2'))[:-1] + b'\0'
    decoder = Decoder()
    assert decoder.feed(corrupt + encode(good)) == [good]
    assert decoder.corrupt == 1


def test_a_packet_too_long_for_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match='254 parameter bytes'):
        encode(Packet(1, 0, bytes(254)))


@given(st.sampled_from([GOAL_POSITION, HOMING_OFFSET, LOCK, PRESENT_LOAD]), st.data())
def test_a_register_gives_back_every_value_that_fits(
    register: Register, data: st.DataObject
) -> None:
    top = (1 << register.sign if register.sign else 1 << 8 * register.size) - 1
    value = data.draw(st.integers(-top if register.sign else 0, top))
    assert register.decode(register.encode(value)) == value
    with pytest.raises(ValueError, match='does not fit'):
        register.encode(top + 1)


def test_negative_values_are_sign_and_magnitude() -> None:
    assert HOMING_OFFSET.encode(-5) == bytes((0x05, 0x08))
