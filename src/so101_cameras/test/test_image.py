"""Images go through messages and JPEG unharmed; what is no image is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from so101_cameras.image import from_jpeg, from_message, to_jpeg


def message(encoding: str, pixels: np.ndarray, padding: int = 0) -> SimpleNamespace:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=rows.shape[1], data=rows.tobytes()
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)


@pytest.mark.parametrize('padding', [0, 5])
def test_rgb8_is_passed_on(pixels: np.ndarray, padding: int) -> None:
    assert np.array_equal(from_message(message('rgb8', pixels, padding)), pixels)


def test_bgr8_and_mono8_become_rgb8(pixels: np.ndarray) -> None:
    assert np.array_equal(from_message(message('bgr8', pixels[..., ::-1])), pixels)
    grey = from_message(message('mono8', pixels[..., :1]))
    assert np.array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))


def test_an_encoding_that_is_not_known_is_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'bayer_rggb8': expected rgb8, bgr8 or mono8"):
        from_message(message('bayer_rggb8', pixels))


def test_a_short_image_is_refused(pixels: np.ndarray) -> None:
    short = message('rgb8', pixels)
    short.data = short.data[:-1]
    with pytest.raises(ValueError, match='71 bytes'):
        from_message(short)


def test_jpeg_there_and_back_keeps_the_colours() -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = (200, 30, 30)
    pixels[:, 32:] = (30, 30, 200)
    again = from_jpeg(to_jpeg(pixels)).astype(int)
    assert np.abs(again - pixels).mean() < 3


@pytest.mark.parametrize('data', [b'', b'no image'])
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match='not a JPEG'):
        from_jpeg(data)
