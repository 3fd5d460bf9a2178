"""What a picture shows is seen of JPEG and of raw images; black is what shows nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from so101_cameras.image import Array, to_jpeg
from so101_cameras.picture import Compressed, Raw
from so101_cameras.picture_health import Look


def noisy(pixels: Array, sigma: float) -> Array:
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def flat(level: int) -> Array:
    return np.full((480, 640, 3), level, np.uint8)


def raw(pixels: Array, encoding: str = 'rgb8') -> Raw:
    height, width = pixels.shape[:2]
    data = pixels.tobytes()
    return Raw(
        SimpleNamespace(encoding=encoding, height=height, width=width, step=3 * width, data=data)
    )


@pytest.fixture(params=['JPEG', 'raw'])
def seen(request: pytest.FixtureRequest) -> object:
    """Return a function that looks at pixels."""

    def look(pixels: Array) -> Look:
        picture = Compressed(to_jpeg(pixels)) if request.param == 'JPEG' else raw(pixels)
        found = picture.look()
        assert found is not None
        return found

    return look


@pytest.mark.parametrize('pixels', [flat(0), flat(16), noisy(flat(6), 4)])
def test_black_of_either_range_is_black_and_so_is_a_covered_lens(pixels: Array, seen) -> None:
    assert seen(pixels).is_black


def test_a_dark_room_is_not_black(seen) -> None:
    room = flat(6)
    room[100:160, 400:480] = 40  # a window by night
    assert not seen(noisy(room, 4)).is_black


def test_a_grey_wall_is_neither_black_nor_white(seen) -> None:
    look = seen(flat(60))
    assert not look.is_black
    assert not look.is_white
    assert abs(look.brightness - 60) < 2
    assert look.contrast < 1


def test_what_is_burnt_out_all_over_is_white_and_a_window_is_not(seen) -> None:
    room = flat(120)
    room[:240, :320] = 255
    look = seen(room)
    assert not look.is_white
    assert abs(look.clipped - 0.25) < 0.02
    assert seen(noisy(flat(255), 2)).is_white


def test_the_cells_have_the_colour_of_their_place_and_the_size_is_told(seen) -> None:
    pixels = flat(100)
    pixels[:80, :80] = (200, 30, 60)
    look = seen(pixels)
    assert look.cells.shape == (12, 16, 3)
    np.testing.assert_allclose(look.cells[0, 0], (200, 30, 60), atol=6)
    np.testing.assert_allclose(look.cells[11, 15], 100, atol=2)
    assert (look.width, look.height) == (640, 480)
    small = seen(flat(100)[:240, :320])
    assert (small.width, small.height) == (320, 240)


@pytest.mark.parametrize('data', [b'', b'no picture', to_jpeg(flat(9))[:30]])
def test_what_is_no_picture_shows_nothing(data: bytes) -> None:
    assert Compressed(data).look() is None


def test_a_raw_image_of_an_unknown_encoding_or_a_short_one_shows_nothing() -> None:
    assert raw(flat(9), 'rgb565').look() is None
    short = raw(flat(9))
    short.message.data = short.message.data[:-1]
    assert short.look() is None


@pytest.mark.parametrize('place', [0, 997, 500_000, 921_599])
def test_one_byte_makes_another_raw_picture(place: int) -> None:
    one, same, other = raw(flat(9)), raw(flat(9)), raw(flat(9))
    data = bytearray(other.message.data)
    data[place] += 1
    other.message.data = bytes(data)
    assert one == same
    assert one != other
    assert one != Compressed(one.message.data)


def test_raw_pictures_of_two_sizes_differ() -> None:
    assert raw(flat(9)) != raw(flat(9)[:240])
