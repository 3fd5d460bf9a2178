"""The picture: the overhead camera fills it, the wrist camera is an inset, text on top."""

import numpy as np
import pytest

from so101_cameras.image import Array
from so101_view.caption import Caption
from so101_view.picture import HEIGHT, WIDTH, Layout

RED, BLUE = (200, 0, 0), (0, 0, 200)


def plain(colour: tuple[int, int, int], height: int = 480, width: int = 640) -> Array:
    return np.full((height, width, 3), colour, np.uint8)


def composed(caption: Caption | None = None, **images: Array | None) -> Array:
    return Layout().compose(images, caption or Caption())


def test_the_layout_is_that_of_the_original_project() -> None:
    picture = composed(overhead=plain(RED), wrist=plain(BLUE))
    assert (picture.shape, picture.dtype) == ((540, 960, 3), np.uint8)
    assert (picture[0, 0] == RED).all()
    # A white border of 2 px around 240 x 240, 12 px from the corner.
    rows, columns = np.nonzero((picture == 255).all(axis=2))
    assert (rows.min(), rows.max()) == (540 - 12 - 244, 540 - 12 - 1)
    assert (columns.min(), columns.max()) == (960 - 12 - 244, 960 - 12 - 1)
    inset = picture[540 - 12 - 242 : 540 - 12 - 2, 960 - 12 - 242 : 960 - 12 - 2]
    assert inset.shape == (240, 240, 3)
    assert (inset == BLUE).all()
    assert len(rows) == 244**2 - 240**2


def test_the_middle_of_the_images_is_kept() -> None:
    overhead = plain(RED)
    overhead[60:420] = BLUE  # 640 x 360 in the middle: what 960 x 720 cropped to 540 shows
    wrist = plain(RED)
    wrist[:, 80:560] = BLUE  # 480 x 480
    picture = composed(overhead=overhead, wrist=wrist)
    assert not ((picture == RED).all(axis=2)).any()


@pytest.mark.parametrize('shape', [(720, 1280), (1080, 1920), (240, 320), (3, 500), (500, 3)])
def test_images_of_any_size_fill_their_place(shape: tuple[int, int]) -> None:
    picture = composed(overhead=plain(RED, *shape), wrist=plain(BLUE, *shape))
    assert (picture[-1, 0] == RED).all()
    assert (picture[400, 800] == BLUE).all()


def test_a_missing_camera_costs_its_part() -> None:
    no_overhead = composed(overhead=None, wrist=plain(BLUE))
    assert (no_overhead[400, 800] == BLUE).all()
    assert no_overhead[:280].max() < 200 and (no_overhead[270] != no_overhead[0]).any()  # the text
    no_wrist = composed(overhead=plain(RED), wrist=None)
    assert (no_wrist[0, 0] == RED).all()
    assert (no_wrist[300, 750] == no_wrist[300, 751]).all() and no_wrist[300, 750].max() < 50


def test_a_missing_camera_leaves_no_trace_of_other_pictures() -> None:
    before = composed(overhead=None, wrist=None)
    composed(Caption(('text',)), overhead=None, wrist=plain(BLUE))
    assert (composed(overhead=None, wrist=None) == before).all()


def test_the_caption_dims_what_is_below_and_no_more() -> None:
    bare = composed(overhead=plain(RED), wrist=plain(BLUE))
    captioned = composed(
        Caption(('rollout 3 of 5',), 'failure', 'it fell', ('the wrist camera is black',)),
        overhead=plain(RED),
        wrist=plain(BLUE),
    )
    changed = (bare != captioned).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), columns.min()) == (12, 12)
    assert rows.max() < 110 and columns.max() < 400
    bar = captioned[13, 13]
    assert 0 < bar[0] < 100  # dimmed, not hidden
    assert (captioned[12:40, :400] > 200).any()  # text


@pytest.mark.parametrize(
    'caption',
    [
        Caption(('Würfel',), 'success'),
        Caption(('x' * 1000, 'y' * 1000, 'z'), 'failure', 'w ' * 5000),
        Caption(('a\nb\tc',), warnings=tuple(map(str, range(100)))),
        Caption(('',), ''),
    ],
)
def test_no_text_is_too_much(caption: Caption) -> None:
    picture = composed(caption, overhead=plain(RED), wrist=plain(BLUE))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (picture[:, -8:] == RED).all()


def test_one_camera_alone_fills_the_picture() -> None:
    picture = Layout('wrist', None).compose({'wrist': plain(BLUE)}, Caption())
    assert (picture == BLUE).all()
