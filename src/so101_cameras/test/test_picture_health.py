"""Black is what shows nothing; a dark room is something else."""

import numpy as np
import pytest

from so101_cameras.image import Array, to_jpeg
from so101_cameras.picture_health import is_black


def noisy(pixels: Array, sigma: float) -> Array:
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def flat(level: int) -> Array:
    return np.full((480, 640, 3), level, np.uint8)


@pytest.mark.parametrize('pixels', [flat(0), flat(16), noisy(flat(6), 4)])
def test_black_of_either_range_is_black_and_so_is_a_covered_lens(pixels: Array) -> None:
    assert is_black(to_jpeg(pixels))


def test_a_dark_room_is_not_black() -> None:
    room = flat(6)
    room[100:160, 400:480] = 40  # a window by night
    assert not is_black(to_jpeg(noisy(room, 4)))


def test_a_grey_wall_is_not_black() -> None:
    assert not is_black(to_jpeg(flat(60)))


@pytest.mark.parametrize('data', [b'', b'no picture'])
def test_what_is_no_picture_shows_nothing(data: bytes) -> None:
    assert is_black(data)
