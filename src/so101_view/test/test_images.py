"""Of a camera's images, the newest at a time is shown, and none that is older than a second."""

from types import SimpleNamespace

import numpy as np
import pytest

from so101_cameras.image import to_jpeg
from so101_view.images import MAX_AGE, Images, pixels

MS = 1_000_000


def test_the_newest_of_the_time_or_before_is_shown() -> None:
    images = Images()
    assert images.at(0) is None
    for time in (10, 20, 30):
        images.add(time * MS, time)
    assert [images.at(time * MS) for time in (9, 10, 19, 25, 30, 500)] == [
        None,
        10,
        10,
        20,
        30,
        30,
    ]


def test_an_image_is_shown_for_a_second_at_most() -> None:
    images = Images()
    images.add(0, 'image')
    assert images.at(MAX_AGE) == 'image'
    assert images.at(MAX_AGE + 1) is None
    images.add(MAX_AGE + 2, 'next')
    assert images.at(MAX_AGE + 2) == 'next'


def test_a_film_that_falls_far_behind_repeats_and_does_not_say_that_the_camera_is_gone() -> None:
    images = Images()
    for i in range(300):  # ten seconds come while nobody looks
        images.add(i * 33 * MS, i)
    shown = [images.at(t * 33 * MS) for t in range(300)]
    assert None not in shown
    assert shown == sorted(shown)
    assert shown[-1] == 299


def test_both_kinds_of_message_become_pixels() -> None:
    image = np.full((8, 16, 3), 77, np.uint8)
    raw = SimpleNamespace(encoding='rgb8', height=8, width=16, step=48, data=image.tobytes())
    jpeg = SimpleNamespace(format='rgb8; jpeg compressed bgr8', data=to_jpeg(image))
    assert (pixels(raw) == image).all()
    assert np.abs(pixels(jpeg).astype(int) - image).max() <= 2
    with pytest.raises(ValueError, match='JPEG'):
        pixels(SimpleNamespace(format='jpeg', data=b'nothing'))
