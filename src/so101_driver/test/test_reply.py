"""Nothing but the answer is taken for the answer, whatever comes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver.packet import Packet, encode
from so101_driver.reply import Answer, Expected

IDS = (1, 2, 3, 4, 5, 6)
SIZE = 4


def frame(servo: int, value: int = 0, size: int = SIZE) -> bytes:
    return encode(Packet(servo, 0, bytes((value,)) * size))


def frames(*servos: int, value: int = 0) -> bytes:
    return b''.join(frame(servo, value) for servo in servos)


def collect(*pieces: bytes) -> Answer:
    answer = Answer(Expected(IDS, SIZE))
    for piece in pieces:
        if answer.feed(piece):
            break
    answer.end()
    return answer


def values(answer: Answer) -> dict[int, int]:
    return {servo: block[0] for servo, block in answer.blocks.items()}


@pytest.mark.parametrize('sizes', [60, 1, 7, 59])
def test_an_answer_is_found_in_pieces_of_any_size(sizes: int) -> None:
    data = b''.join(encode(Packet(servo, servo + 10, bytes(SIZE))) for servo in IDS)
    answer = collect(*(data[start : start + sizes] for start in range(0, len(data), sizes)))
    assert answer.complete and list(answer.blocks) == list(IDS)
    assert answer.codes == {servo: servo + 10 for servo in IDS}
    assert (answer.corrupt, answer.foreign, answer.received) == (0, 0, len(data))


@pytest.mark.parametrize(
    ('data', 'found'),
    [
        (frames(1, 2, 3, 4, 6), {1, 2, 3, 4, 6}),  # one is silent
        (frames(1, 2, 3, 3, 4, 5, 6), {3, 4, 5, 6}),  # one answers twice
        (frames(2, 1, 3, 4, 5, 6), {1, 3, 4, 5, 6}),  # two out of order
        (frames(1, 2, 9, 3, 4, 5, 6), set(IDS)),  # one who was not asked
        (frames(1, 2) + frame(3, size=5) + frames(3, 4, 5, 6), set(IDS)),  # another length
        (frames(1, 2) + frame(3)[:-2] + frames(4, 5, 6), {1, 2, 4, 5, 6}),  # one is truncated
        (frames(1, 2) + frame(3)[:-1] + b'\0' + frames(4, 5, 6), {1, 2, 4, 5, 6}),  # corrupt
        (frames(1, 2, 3, 4, 5) + frame(6)[:-1], {1, 2, 3, 4, 5}),  # the last one is truncated
        (b'\0' + frames(*IDS), set(IDS)),  # noise before
        (b'\xff' * 500 + frames(*IDS), set(IDS)),  # a storm of headers
        (b'\xff' * 500, set()),
        (b'', set()),
    ],
)
def test_what_is_not_the_answer_is_left_out(data: bytes, found: set[int]) -> None:
    assert set(collect(data).blocks) == found


def test_the_newest_of_two_answers_wins() -> None:
    answer = collect(frames(*IDS, value=1) + frames(*IDS, value=2))
    assert values(answer) == dict.fromkeys(IDS, 2)
    assert answer.foreign == 6


def test_the_tail_of_an_earlier_answer_gives_way_to_the_new_one() -> None:
    answer = collect(frames(5, 6, value=1), frames(1, 2, 3, 4, value=2), frames(5, 6, value=2))
    assert values(answer) == dict.fromkeys(IDS, 2)


def test_strange_frames_are_counted() -> None:
    corrupt = frame(1)[:-1] + b'\0'
    answer = collect(corrupt + frame(9) + frame(2, size=5) + frames(*IDS))
    assert (answer.corrupt, answer.foreign) == (1, 2)


def test_a_servo_asked_twice_is_refused() -> None:
    with pytest.raises(ValueError, match='asked twice'):
        Expected((1, 2, 1), 2)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Replies and noise, damaged here and there, in pieces."""
    reply = st.builds(
        lambda servo, code, params: encode(Packet(servo, code, params)),
        st.integers(0, 7),
        st.integers(0, 255),
        st.binary(min_size=SIZE - 1, max_size=SIZE + 1),
    )
    whole = st.just(frames(*IDS))
    noise = st.binary(max_size=8) | st.integers(0, 9).map(lambda count: b'\xff' * count)
    data = bytearray(b''.join(draw(st.lists(whole | reply | noise, max_size=6))))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            place = draw(st.integers(0, len(data) - 1))
            data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=2))
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=4).map(sorted))
    return [bytes(data[start:end]) for start, end in pairwise([0, *cuts, len(data)])]


@given(streams())
def test_each_reply_taken_came_whole_and_in_order(pieces: list[bytes]) -> None:
    answer = collect(*pieces)
    stream = b''.join(pieces)
    place = 0
    for servo in IDS:
        if servo in answer.blocks:
            body = bytes((servo, SIZE + 2, answer.codes[servo])) + answer.blocks[servo]
            whole = b'\xff\xff' + body + bytes((255 - sum(body) % 256,))
            place = stream.find(whole, place) + len(whole)
            assert place >= len(whole)
