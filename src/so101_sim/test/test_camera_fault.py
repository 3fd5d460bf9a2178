"""A camera's faults: as people order them, what comes out of it then, and the README's table."""

from pathlib import Path

import numpy as np
import pytest

from so101_description.cameras import CAMERAS
from so101_node.error import UserError
from so101_sim.camera_fault import (
    EFFECTS,
    CameraFault,
    CameraTrouble,
    Frame,
    Order,
    is_order,
    parse,
)

README = (Path(__file__).parents[1] / 'README.md').read_text().splitlines()


def images(count: int) -> list[np.ndarray]:
    return [np.full((2, 2, 3), number + 1, np.uint8) for number in range(count)]


def came(trouble: CameraTrouble, seen: list[np.ndarray]) -> list[int | None]:
    """Return of each image the value of the pixels that come out, None where nothing does."""
    frames = [trouble.frame(image, 0) for image in seen]
    return [None if frame is None else int(frame.pixels[0, 0, 0]) for frame in frames]


@pytest.mark.parametrize('camera', CAMERAS)
@pytest.mark.parametrize('fault', [*CameraFault, None])
def test_an_orders_text_is_read_as_itself(camera: str, fault: CameraFault | None) -> None:
    order = Order(camera, fault)
    assert is_order(str(order))
    assert parse(f' {order} ') == order


@pytest.mark.parametrize(
    'text',
    ['camera', 'camera wrist', 'camera chest black', 'camera wrist blue', 'camera wrist half off'],
)
def test_a_wrong_order_is_refused_with_what_to_give(text: str) -> None:
    assert is_order(text)
    with pytest.raises(UserError) as error:
        parse(text)
    assert str(error.value) == (
        f'fault {text!r}: give camera, then wrist or overhead, then silent, frozen, black, half, '
        'white, small, burnt, drift, tint, late, ahead or well'
    )


@pytest.mark.parametrize('text', ['', 'silent elbow_flex', 'clear', 'cameras wrist black'])
def test_an_order_of_the_arms_is_none_of_a_cameras(text: str) -> None:
    assert not is_order(text)


@pytest.mark.parametrize(
    ('fault', 'expected'),
    [
        (None, [1, 2, 3, 4, 5]),
        (CameraFault.SILENT, [1, None, None, None, 5]),
        (CameraFault.FROZEN, [1, 1, 1, 1, 5]),
        (CameraFault.BLACK, [1, 0, 0, 0, 5]),
        (CameraFault.WHITE, [1, 255, 255, 255, 5]),
        (CameraFault.BURNT, [1, 255, 255, 255, 5]),
        (CameraFault.LATE, [1, None, None, None, 5]),
        (CameraFault.AHEAD, [1, 2, 3, 4, 5]),
        (CameraFault.HALF, [1, None, 3, None, 5]),
    ],
)
def test_it_is_well_but_for_the_three_images_in_the_middle(
    fault: CameraFault | None, expected: list[int | None]
) -> None:
    trouble = CameraTrouble()
    seen = images(5)
    found = came(trouble, seen[:1])
    trouble.fault = fault
    found += came(trouble, seen[1:4])
    trouble.fault = None
    assert found + came(trouble, seen[4:]) == expected


def test_frozen_from_the_start_it_shows_its_first_image() -> None:
    trouble = CameraTrouble()
    trouble.fault = CameraFault.FROZEN
    assert came(trouble, images(3)) == [1, 1, 1]


def struck(fault: CameraFault, count: int, seen: np.ndarray) -> list[Frame]:
    """Return what comes of so many images, captured at 1, 2, ... seconds."""
    trouble = CameraTrouble()
    trouble.fault = fault
    frames = [trouble.frame(seen, number * 1_000_000_000) for number in range(1, count + 1)]
    return [frame for frame in frames if frame is not None]


def test_late_images_keep_the_time_of_their_capture_and_stamps_ahead_do_not() -> None:
    seen = np.zeros((2, 2, 3), np.uint8)
    late = struck(CameraFault.LATE, 15, seen)
    assert [frame.captured // 1_000_000_000 for frame in late] == [1, 2, 3, 4, 5]
    (ahead,) = struck(CameraFault.AHEAD, 1, seen)
    assert ahead.captured == 1_100_000_000


def test_a_small_image_is_half_as_wide_and_high_and_a_burnt_one_white_above() -> None:
    seen = np.full((4, 6, 3), 9, np.uint8)
    (small,) = struck(CameraFault.SMALL, 1, seen)
    assert small.pixels.shape == (2, 3, 3)
    (burnt,) = struck(CameraFault.BURNT, 1, seen)
    assert (burnt.pixels[:2] == 255).all()
    assert (burnt.pixels[2:] == 9).all()
    assert (seen == 9).all()


def test_brightness_drifts_within_a_second_and_a_tint_is_of_red_alone() -> None:
    seen = np.full((2, 2, 3), 100, np.uint8)
    bright = [int(frame.pixels[0, 0, 0]) for frame in struck(CameraFault.DRIFT, 30, seen)]
    assert bright == sorted(bright, reverse=True)
    assert (bright[0], bright[21], bright[29]) == (97, 60, 60)
    (tint,) = struck(CameraFault.TINT, 1, np.full((2, 2, 3), 200, np.uint8))
    assert tint.pixels[0, 0].tolist() == [140, 200, 200]


def test_the_readmes_table_is_this_one() -> None:
    start = README.index('| fault of a camera | what happens |') + 2
    end = README.index('', start)
    rows = [f'| camera NAME {fault} | {effect} |' for fault, effect in EFFECTS.items()]
    assert README[start:end] == [*rows, '| camera NAME well | nothing is wrong with it |']
