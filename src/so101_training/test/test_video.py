"""Messages into video files: near to the pixels that the policy sees, each frame in its place."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from so101_cameras.image import to_jpeg
from so101_node.error import UserError
from so101_policy.features import pixels
from so101_training.conversion.video import Codec, Picture, VideoFile, joined


def scene(number: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:480, :640].astype(np.float32)
    shade = np.stack([120 + 60 * np.sin(x / 50), 110 + 50 * np.cos(y / 40), (x + y) / 5], axis=-1)
    image = np.clip(shade, 0, 255).astype(np.uint8)
    cv2.circle(image, (40 + 9 * number, 200), 30, (230, 40, 30), -1)
    return image


def jpeg(image: NDArray[np.uint8]) -> Any:
    return SimpleNamespace(format='jpeg', data=np.frombuffer(to_jpeg(image), np.uint8))


def shown(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format='rgb24') for frame in file.decode(video=0)]


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_a_jpeg_gives_the_frame_that_its_pixels_would_give() -> None:
    """The planes of the short way and of that by RGB differ by half a level on average."""
    message = jpeg(scene(3))
    short = Picture('topic').frame(message)
    image = pixels(message, 'topic')
    long = Picture.of_pixels(image).reformat(format='yuv420p')
    assert short.format.name == 'yuv420p'
    for ours, theirs in zip(short.planes, long.planes, strict=True):
        a, b = (np.frombuffer(plane, np.uint8).astype(int) for plane in (ours, theirs))
        assert np.abs(a - b).mean() < 0.5
    assert psnr(short.to_ndarray(format='rgb24'), image) > 38


def test_a_jpeg_that_is_to_be_turned_is_turned_as_for_the_policy() -> None:
    data = to_jpeg(scene(0))
    entry = b'\x12\x01\x03\x00\x01\x00\x00\x00\x03\x00\x00\x00'  # orientation: upside down
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0' + entry + b'\0\0\0\0'
    turned = data[:2] + b'\xff\xe1' + (2 + len(exif)).to_bytes(2, 'big') + exif + data[2:]
    message = SimpleNamespace(format='jpeg', data=np.frombuffer(turned, np.uint8))
    image = pixels(message, 'topic')
    assert psnr(image, scene(0)[::-1, ::-1]) > 30
    frame = Picture('topic').frame(message)
    assert np.array_equal(frame.to_ndarray(format='rgb24'), image)


@pytest.mark.parametrize('sampling', ['444', '422', '420'])
def test_jpegs_of_any_sampling_are_taken(sampling: str) -> None:
    image = scene(0)
    flag = getattr(cv2, f'IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}')
    options = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, flag)
    data = cv2.imencode('.jpg', image[..., ::-1], options)[1].reshape(-1)
    frame = Picture('topic').frame(SimpleNamespace(format='jpeg', data=data))
    assert psnr(frame.to_ndarray(format='rgb24'), image) > 34


def test_what_is_no_image_of_the_camera_is_refused() -> None:
    picture = Picture('wrist')
    data = to_jpeg(scene(0))
    for part in (0.3, 0.9, 0.995):
        cut = SimpleNamespace(
            format='jpeg', data=np.frombuffer(data[: int(part * len(data))], 'u1')
        )
        with pytest.raises(UserError, match='wrist'):
            pixels(cut, 'wrist')
        with pytest.raises(UserError, match='wrist'):
            picture.frame(cut)
    with pytest.raises(UserError, match='wrist: not a JPEG'):
        picture.frame(SimpleNamespace(format='jpeg', data=np.frombuffer(b'\xff\xd8no', np.uint8)))
    with pytest.raises(UserError, match='wrist: not a JPEG'):
        picture.frame(SimpleNamespace(format='png', data=np.zeros(9, np.uint8)))
    with pytest.raises(UserError, match='240'):
        picture.frame(jpeg(np.ascontiguousarray(scene(0)[::2, ::2])))


@pytest.mark.parametrize(
    'codec', [Codec(), Codec('hevc', preset='ultrafast'), Codec('libsvtav1', crf=30, preset='12')]
)
def test_joined_files_hold_every_frame_at_its_time(codec: Codec, tmp_path: Path) -> None:
    codec.check()
    parts = []
    for part, counts in enumerate(([1, 1, 2, 1], [3], [1] * 7)):
        parts.append(tmp_path / f'{part}.mp4')
        with VideoFile(parts[-1], 30, codec) as file:
            for number, times in enumerate(counts):
                file.write(Picture.of_pixels(scene(5 * part + number)), times)
    joined(parts, tmp_path / 'all.mp4', 30)
    whole = shown(tmp_path / 'all.mp4')
    single = [frame for part in parts for frame in shown(part)]
    assert len(whole) == 15
    for ours, theirs in zip(whole, single, strict=True):
        assert np.array_equal(ours, theirs)
    with av.open(str(tmp_path / 'all.mp4')) as found:
        stream = found.streams.video[0]
        times = [frame.time for frame in found.decode(stream)]
        assert stream.average_rate == 30
    np.testing.assert_allclose([float(t or 0) for t in times], np.arange(15) / 30, atol=1e-9)


@pytest.mark.parametrize(
    ('codec', 'why'),
    [
        (Codec(preset='quickest'), 'preset'),
        (Codec(vcodec='mjpeg'), 'h264'),
        (Codec(g=0), 'GOP'),
        (Codec(width=641), 'even'),
    ],
)
def test_a_codec_that_does_not_work_is_refused(codec: Codec, why: str) -> None:
    with pytest.raises(UserError, match=why):
        codec.check()
