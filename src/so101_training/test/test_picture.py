"""What is measured of pictures."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_training.checks.picture import Luma, Measures, PictureMeter

RANDOM = np.random.default_rng(4)
TABLE: Luma = cv2.resize(
    RANDOM.integers(40, 200, (30, 40), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_NEAREST
)  # type: ignore[assignment]


def measured(*pictures: Luma) -> Measures:
    meter = PictureMeter()
    for picture in pictures:
        meter.feed(picture)
    return meter.finish()


@given(st.integers(0, 255), st.integers(1, 5), st.sampled_from([(48, 64), (480, 640), (9, 7)]))
def test_an_even_picture_is_as_bright_as_it_is_and_stands_still(
    level: int, count: int, size: tuple[int, int]
) -> None:
    found = measured(*[np.full(size, level, np.uint8)] * count)
    assert len(found) == count
    assert found.brightness == pytest.approx(level)
    assert found.contrast == pytest.approx(0, abs=1e-3)
    assert found.still.tolist() == list(range(count))
    assert not found.odd.any() and not found.change.any()
    assert (found.clipped == (1.0 if level >= 250 else 0.0)).all()


@given(st.floats(1.5, 6.0))
def test_blur_takes_sharpness_and_the_more_the_more(sigma: float) -> None:
    tiles = cv2.resize(TABLE[::8, ::8][:6, :8], (320, 240), interpolation=cv2.INTER_NEAREST)
    sharp, soft, softer = (
        measured(p).sharpness[0]
        for p in (
            tiles,
            cv2.GaussianBlur(tiles, (0, 0), sigma),
            cv2.GaussianBlur(tiles, (0, 0), 2 * sigma),
        )
    )  # type: ignore[arg-type]
    assert sharp > 0.8
    assert softer < soft < 0.6 * sharp


def test_of_a_plain_surface_nobody_knows_whether_it_is_sharp() -> None:
    slope = np.tile(np.linspace(90, 160, 320).astype(np.uint8), (240, 1))
    assert np.isnan(measured(slope).sharpness[0])


def test_motion_blur_along_one_direction_leaves_the_edges_across_it() -> None:
    smeared: Luma = cv2.blur(TABLE, (15, 1))  # type: ignore[assignment]
    assert measured(smeared).sharpness[0] > 0.8


def test_what_is_encoded_again_is_the_same_and_what_moves_is_not() -> None:
    flicker = np.clip(TABLE.astype(int) + RANDOM.integers(-3, 4, TABLE.shape), 0, 255)
    moved = np.roll(TABLE, 2, axis=1)
    found = measured(TABLE, flicker.astype(np.uint8), TABLE, moved)
    assert found.still.tolist() == [0, 1, 2, 0]
    assert found.change[3] > 9 > 3 > found.change[1]


def test_slow_motion_is_a_new_picture_sooner_or_later() -> None:
    """Each step alone is less than what counts; together they are not."""
    smooth: Luma = cv2.GaussianBlur(TABLE, (0, 0), 6)  # type: ignore[assignment]
    steps = [
        cv2.warpAffine(smooth, np.array([[1, 0, 0.1 * i], [0, 1, 0.0]]), (320, 240))
        for i in range(40)
    ]
    found = measured(*steps)  # type: ignore[arg-type]
    assert found.change.max() <= 3.0
    assert found.still.max() < 20


@pytest.mark.parametrize('row', [40, 120, 190])
def test_a_picture_with_broken_rows_is_odd_by_their_share(row: int) -> None:
    torn = TABLE.copy()
    torn[row:] = np.roll(torn[row:], 77, axis=1)
    found = measured(TABLE, TABLE, torn, TABLE, TABLE)
    assert found.odd[2] == pytest.approx((240 - row) / 240, abs=0.05)
    assert not found.odd[[0, 1, 3, 4]].any()


def test_what_moves_on_is_not_odd() -> None:
    found = measured(*(np.roll(TABLE, 5 * i, axis=1) for i in range(8)))
    assert not found.odd.any()


def test_a_camera_that_changes_its_size_is_measured_on() -> None:
    small = cv2.resize(TABLE, (160, 120))
    found = measured(TABLE, TABLE, TABLE, small, small, small)  # type: ignore[arg-type]
    assert len(found.odd) == len(found.still) == 6
    assert found.still.tolist() == [0, 1, 2, 0, 1, 2]


def test_nothing_is_measured_of_no_picture() -> None:
    assert len(measured()) == 0
