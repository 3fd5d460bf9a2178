"""Images go through messages and JPEG unharmed; what is no image is refused."""

from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_cameras.image import (
    ENCODINGS,
    from_compressed,
    from_jpeg,
    from_message,
    to_jpeg,
    to_rgb8,
)


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


@pytest.mark.parametrize(('encoding', 'order'), [('rgba8', [0, 1, 2]), ('bgra8', [2, 1, 0])])
def test_the_fourth_channel_is_dropped(
    pixels: np.ndarray, encoding: str, order: list[int]
) -> None:
    four = np.dstack([pixels[..., order], np.zeros((4, 6), np.uint8)])
    assert np.array_equal(from_message(message(encoding, four)), pixels)


@pytest.mark.parametrize('big_endian', [False, True])
def test_of_sixteen_bits_the_upper_ones_remain(big_endian: bool) -> None:
    values = np.array([[0, 0x12FF], [0xFFFF, 0x8000]], '>u2' if big_endian else '<u2')
    grey = message('mono16', values.view(np.uint8).reshape(2, 4, 1))
    grey.width, grey.is_bigendian = 2, big_endian
    assert from_message(grey)[..., 0].tolist() == [[0, 0x12], [0xFF, 0x80]]


def yuv(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return brightness and both colours of ITU-R BT.601 in video range, as cameras send them."""
    red, green, blue = colour
    y = 16 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256
    u = 128 + (-37.945 * red - 74.494 * green + 112.439 * blue) / 256
    v = 128 + (112.439 * red - 94.154 * green - 18.285 * blue) / 256
    return round(y), round(u), round(v)


def of_one_colour(encoding: str, colour: tuple[int, int, int], width: int, height: int) -> bytes:
    """Return an image of one colour as a camera sends it."""
    y, u, v = yuv(colour)
    match encoding:
        case 'yuv422' | 'uyvy':
            return bytes([u, y, v, y]) * (width * height // 2)
        case 'yuv422_yuy2' | 'yuyv':
            return bytes([y, u, y, v]) * (width * height // 2)
        case 'nv12':
            return bytes([y]) * (width * height) + bytes([u, v]) * (width * height // 4)
        case 'nv21':
            return bytes([y]) * (width * height) + bytes([v, u]) * (width * height // 4)
    pattern = encoding.removeprefix('bayer_').removesuffix('8')
    rows = [[colour['rgb'.index(letter)] for letter in pattern[i : i + 2]] for i in (0, 2)]
    return np.tile(np.array(rows, np.uint8), (height // 2, width // 2)).tobytes()


@given(
    st.sampled_from([e for e in ENCODINGS if e.startswith(('yuv', 'uyvy', 'nv', 'bayer'))]),
    st.tuples(*[st.integers(0, 255)] * 3),
    st.tuples(st.integers(2, 12), st.integers(2, 12)),
)
def test_a_colour_is_the_same_in_every_encoding(
    encoding: str, colour: tuple[int, int, int], half: tuple[int, int]
) -> None:
    width, height = 2 * half[0], 2 * half[1]
    data = of_one_colour(encoding, colour, width, height)
    step = len(data) // (height * 3 // 2 if encoding.startswith('nv') else height)
    pixels = to_rgb8(data, encoding, width, height, step)
    assert pixels.shape == (height, width, 3)
    assert np.abs(pixels.astype(int) - colour).max() <= 3


@given(
    st.sampled_from(ENCODINGS),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 40),
    st.integers(0, 500),
)
def test_what_does_not_fit_is_refused_and_nothing_else_happens(
    encoding: str, width: int, height: int, step: int, size: int
) -> None:
    try:
        pixels = to_rgb8(bytes(size), encoding, width, height, step)
    except ValueError as error:
        assert f'{width}x{height}' in str(error)
    else:
        assert pixels.shape == (height, width, 3) and pixels.size


def test_an_encoding_that_is_not_known_is_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'32FC1': expected one of rgb8, bgr8, rgba8"):
        from_message(message('32FC1', pixels))


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


@pytest.mark.parametrize(
    ('text', 'extension'),
    [
        ('jpeg', '.jpg'),
        ('rgb8; jpeg compressed bgr8', '.jpg'),
        ('bgr8; jpeg compressed bgr8', '.jpg'),
        ('png', '.png'),
        ('bgr8; png compressed bgr8', '.png'),
    ],
)
def test_every_compressed_format_of_pictures_is_decoded(text: str, extension: str) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:] = (200, 120, 30)
    data = cv2.imencode(extension, pixels[..., ::-1])[1].tobytes()
    again = from_compressed(SimpleNamespace(format=text, data=array('B', data)))
    assert np.abs(again.astype(int) - pixels).max() <= 3


def test_a_compressed_depth_image_is_no_picture() -> None:
    with pytest.raises(ValueError, match="'16UC1; compressedDepth png': expected jpeg or png"):
        from_compressed(SimpleNamespace(format='16UC1; compressedDepth png', data=b'x'))


@pytest.mark.parametrize('text', ['jpeg', 'png', ''])
def test_a_compressed_message_without_an_image_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='not a'):
        from_compressed(SimpleNamespace(format=text, data=b'no image'))


@pytest.mark.parametrize('data', [b'', b'no image'])
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match='not a JPEG'):
        from_jpeg(data)
