"""What a terminal sends means what the person meant."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_episodes.keyboard import Event, Key, Keyboard, Reason


def events(*chunks: bytes | None) -> list[Event]:
    """Feed chunks; None is a pause."""
    keyboard = Keyboard()
    return [
        event
        for chunk in chunks
        for event in (keyboard.pause() if chunk is None else keyboard.feed(chunk))
    ]


@pytest.mark.parametrize(
    ('data', 'key'),
    [
        (b'\x1b[C', Key.RIGHT),
        (b'\x1bOC', Key.RIGHT),  # an application's cursor keys
        (b'\x1b[D', Key.LEFT),
        (b'\x1bOD', Key.LEFT),
        (b's', Key.SUCCESS),
        (b'S', Key.SUCCESS),
        (b'f', Key.FAILURE),
        (b'F', Key.FAILURE),
    ],
)
def test_a_key_acts_at_once(data: bytes, key: Key) -> None:
    assert events(data) == [key]


def test_an_escape_alone_is_one_once_nothing_follows() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b'\x1b') == []
    assert keyboard.undecided
    assert keyboard.pause() == [Key.ESCAPE]
    assert not keyboard.undecided


def test_an_arrow_that_comes_in_pieces_is_an_arrow() -> None:
    assert events(b'\x1b', b'[', b'C') == [Key.RIGHT]
    assert events(b'\x1b[', b'D', None) == [Key.LEFT]


def test_an_escape_before_another_key_is_both() -> None:
    assert events(b'\x1b\x1b', None) == [Key.ESCAPE, Key.ESCAPE]
    assert events(b'\x1b\x1b[C') == [Key.ESCAPE, Key.RIGHT]
    assert events(b'\x1bs') == [Key.ESCAPE, Key.SUCCESS]


@pytest.mark.parametrize(
    'data', [b'\x1b[A', b'\x1b[B', b'\x1b[3~', b'\x1b[1;5C', b'\x1bOP', b'x', b'\r', b'\x7f', b' ']
)
def test_other_keys_mean_nothing(data: bytes) -> None:
    assert events(data, None) == []


def test_a_broken_sequence_means_nothing() -> None:
    assert events(b'\x1b[', None, b's') == [Key.SUCCESS]


@pytest.mark.parametrize('enter', [b'\r', b'\n'])
def test_what_is_typed_after_a_label_is_its_reason(enter: bytes) -> None:
    assert events(b'f', b'slipped ', b'off' + enter) == [Key.FAILURE, Reason('slipped off')]
    assert events(b's' + enter + b'f') == [Key.SUCCESS, Key.FAILURE]  # no reason


def test_a_reason_may_be_in_any_language_and_come_in_pieces() -> None:
    text = 'Würfel verfehlt: 立方体'
    data = f'f{text}\n'.encode()
    assert events(*(data[i : i + 1] for i in range(len(data)))) == [Key.FAILURE, Reason(text)]


def test_a_typing_error_can_be_taken_back() -> None:
    assert events(b'fslup\x7f\x7f\x08lip\n') == [Key.FAILURE, Reason('slip')]


def test_letters_of_a_reason_are_no_keys() -> None:
    assert events(b'ffss\n') == [Key.FAILURE, Reason('fss')]


def test_a_slip_is_taken_back_by_the_other_key_and_enter() -> None:
    assert events(b'sf\nfell over\n') == [Key.SUCCESS, Key.FAILURE, Reason('fell over')]
    assert events(b'sf\x1b[C') == [Key.SUCCESS, Key.FAILURE, Key.RIGHT]


def test_another_key_closes_a_reason() -> None:
    assert events(b'fslip\x1b[C') == [Key.FAILURE, Reason('slip'), Key.RIGHT]
    assert events(b'fslip\x1b', None) == [Key.FAILURE, Reason('slip'), Key.ESCAPE]


def test_once_the_next_episode_runs_letters_are_keys_again() -> None:
    keyboard = Keyboard()
    keyboard.feed(b'sgo')
    assert (keyboard.typing, keyboard.typed) == (True, 'go')
    keyboard.forget()
    assert keyboard.feed(b'f') == [Key.FAILURE]


def test_a_reason_has_an_end() -> None:
    assert events(b's' + b'x' * 5000 + b'\n') == [Key.SUCCESS, Reason('x' * 200)]


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_in_which_pieces_bytes_come_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(bounds)]
    assert events(*pieces, None) == events(data, None)
