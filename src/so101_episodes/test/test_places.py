"""The places cover the square, without overlap, and have names that tell them apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE
from so101_episodes.places import grid

COUNTS = st.integers(1, 40)
PARTS = st.floats(0, 1)


@given(count=COUNTS)
def test_as_many_as_asked_for_with_numbers_and_names_of_their_own(count: int) -> None:
    places = grid(count)
    assert [place.number for place in places] == list(range(1, count + 1))
    assert len({place.name for place in places}) == count


@given(count=COUNTS, forward=PARTS, left=PARTS)
def test_every_spot_of_the_square_belongs_to_one_place(
    count: int, forward: float, left: float
) -> None:
    x = SQUARE_CENTRE[0] + (forward - 0.5) * SQUARE_SIZE
    y = SQUARE_CENTRE[1] + (left - 0.5) * SQUARE_SIZE
    around = [
        place
        for place in grid(count)
        if abs(x - place.centre[0]) <= place.size[0] / 2 + 1e-9
        and abs(y - place.centre[1]) <= place.size[1] / 2 + 1e-9
    ]
    assert 1 <= len(around) <= 4  # up to four share a corner
    area = sum(place.size[0] * place.size[1] for place in grid(count))
    assert area == pytest.approx(SQUARE_SIZE**2)


@given(count=COUNTS, forward=PARTS, left=PARTS)
def test_a_spot_is_inside_its_place(count: int, forward: float, left: float) -> None:
    for place in grid(count):
        x, y = place.spot(forward, left)
        assert abs(x - place.centre[0]) <= place.size[0] / 2 + 1e-9
        assert abs(y - place.centre[1]) <= place.size[1] / 2 + 1e-9


@given(count=COUNTS)
def test_no_place_is_much_longer_than_wide(count: int) -> None:
    for place in grid(count):
        assert max(place.size) <= 2 * min(place.size) + 1e-9


def test_far_is_away_from_the_arm_and_left_is_y() -> None:
    far_left, far_right, near_left, near_right = grid(4)
    assert str(far_left) == '1 of 4 (far left)'
    assert str(near_right) == '4 of 4 (near right)'
    assert far_left.centre[0] > near_left.centre[0]
    assert far_left.centre[1] > far_right.centre[1]
    assert far_left.spot(1, 1) == pytest.approx((0.31, 0.05))


@pytest.mark.parametrize(
    ('count', 'names'),
    [
        (1, ['middle']),
        (2, ['left', 'right']),
        (5, ['far left', 'far', 'far right', 'near left', 'near right']),
        (8, 3 * ['far'] + ['left', 'middle', 'right', 'near left', 'near right']),
    ],
)
def test_names_are_what_a_person_would_say(count: int, names: list[str]) -> None:
    for place, name in zip(grid(count), names, strict=True):
        assert place.name.startswith(name)


def test_there_is_no_grid_of_nothing() -> None:
    with pytest.raises(ValueError, match='0 places'):
        grid(0)
