"""Each reader gets the newest of each section once it has shown the last, and nothing queues."""

from hypothesis import given
from hypothesis import strategies as st

from so101_view.board import Board, Reader


def test_a_reader_gets_the_newest_of_each_section_once() -> None:
    board = Board()
    board.put('joints', 'old')
    board.put('joints', 'new')
    board.put('wrist', b'image')
    reader = Reader(board)
    assert list(reader.take()) == ['new', b'image']
    assert list(reader.take()) == []


def test_a_section_waits_until_it_is_shown_and_holds_up_no_other() -> None:
    board = Board()
    reader = Reader(board)
    board.put('wrist', b'1')
    assert list(reader.take()) == [b'1']
    board.put('wrist', b'2')
    board.put('joints', 'moved')
    assert list(reader.take()) == ['moved']
    reader.shown('wrist')
    assert list(reader.take()) == [b'2']


def test_readers_are_apart() -> None:
    board = Board()
    slow, fast = Reader(board), Reader(board)
    for number in range(4):
        board.put('wrist', bytes([number]))
        list(fast.take())
        fast.shown('wrist')
        list(slow.take())
    slow.shown('wrist')
    assert list(slow.take()) == [b'\x03']
    assert (fast.frames_sent, fast.frames_dropped) == (4, 0)
    assert (slow.frames_sent, slow.frames_dropped) == (2, 2)


@given(st.lists(st.sampled_from(['put', 'take', 'shown', 'clear'])))
def test_every_frame_is_sent_or_dropped_or_the_last(steps: list[str]) -> None:
    board = Board()
    board.put('wrist', b'0')
    reader = Reader(board)
    list(reader.take())
    put, taken = 1, [0]
    for step in steps:
        if step == 'put':
            board.put('wrist', str(put).encode())
            put += 1
        elif step == 'take':
            taken += [int(message) for message in reader.take()]
        elif step == 'clear':
            board.clear()
        else:
            reader.shown('wrist')
    assert taken == sorted(set(taken))
    assert reader.frames_sent == len(taken)
    assert reader.frames_sent + reader.frames_dropped == taken[-1] + 1


def test_unknown_sections_are_nothing_to_a_reader() -> None:
    reader = Reader(Board())
    reader.shown('no such section')
    assert list(reader.take()) == []
