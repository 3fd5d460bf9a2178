"""A camera's faults: as people order them, what comes out of it then, and the README's table."""

from pathlib import Path

import numpy as np
import pytest

from so101_description.cameras import CAMERAS
from so101_node.error import UserError
from so101_sim.camera_fault import EFFECTS, CameraFault, CameraTrouble, Order, is_order, parse

README = (Path(__file__).parents[1] / 'README.md').read_text().splitlines()


def images(count: int) -> list[np.ndarray]:
    return [np.full((2, 2, 3), number + 1, np.uint8) for number in range(count)]


def came(trouble: CameraTrouble, seen: list[np.ndarray]) -> list[int | None]:
    """Return of each image the value of the pixels that come out, None where nothing does."""
    frames = [trouble.frame(image) for image in seen]
    return [None if frame is None else int(frame[0, 0, 0]) for frame in frames]


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
        f'fault {text!r}: give camera, then wrist or overhead, then silent, frozen, black, half '
        'or well'
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


def test_the_readmes_table_is_this_one() -> None:
    start = README.index('| fault of a camera | what happens |') + 2
    end = README.index('', start)
    rows = [f'| camera NAME {fault} | {effect} |' for fault, effect in EFFECTS.items()]
    assert README[start:end] == [*rows, '| camera NAME well | nothing is wrong with it |']
