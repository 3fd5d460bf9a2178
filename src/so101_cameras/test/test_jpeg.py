"""A JPEG of a camera is taken whole or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_cameras.image import from_jpeg, to_jpeg
from so101_cameras.sources.jpeg import whole

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
JPEG = to_jpeg(PIXELS)


def without_tables(data: bytes) -> bytes:
    """Return the JPEG as motion JPEG may have it."""
    at, kept = 2, data[:2]
    while data[at + 1] != 0xDA:
        after = at + 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
        if data[at + 1] != 0xC4:
            kept += data[at:after]
        at = after
    return kept + data[at:]


def test_a_whole_one_is_passed_on_as_it_is() -> None:
    assert whole(JPEG, 64, 48) is JPEG


@given(st.integers(1, 4000).map(bytes))
def test_what_a_camera_pads_it_with_is_cut_off(padding: bytes) -> None:
    assert whole(JPEG + padding, 64, 48) == JPEG


@pytest.mark.parametrize('padding', [b'', bytes(7)])
def test_left_out_tables_are_put_in(padding: bytes) -> None:
    bare = without_tables(JPEG)
    assert b'\xff\xc4' not in bare
    mended = whole(bare + padding, 64, 48)
    assert len(mended) == len(JPEG)
    assert np.array_equal(from_jpeg(mended), from_jpeg(JPEG))


@given(st.integers(0, len(JPEG) - 1))
def test_one_that_is_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r'cut off|no JPEG'):
        whole(JPEG[:length], 64, 48)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match='a JPEG of 64x48, not 640x480'):
        whole(JPEG, 640, 480)


@given(st.binary(max_size=300).map(lambda rest: b'\xff\xd8' + rest))
def test_any_rubbish_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError, match='JPEG'):
        whole(data, 64, 48)
