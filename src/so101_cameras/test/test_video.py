"""A video plays as a camera would deliver it, and so does a camera's episode of a dataset."""

import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from so101_cameras.image import from_jpeg, to_jpeg
from so101_cameras.sources.source import DamagedFrame, Ended
from so101_cameras.sources.video import VideoSource
from so101_node.error import UserError

FPS = 50


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def film(path: Path, levels: list[int], codec: str = 'libx264') -> Path:
    """Write a video, a grey picture for each level."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, FPS)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = 'yuv420p'
        for level in levels:
            frame = av.VideoFrame.from_ndarray(grey(level), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def camera_film(path: Path, pictures: list[bytes]) -> Path:
    """Write JPEG pictures as they are into a file, as a recorder of a camera does."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuvj420p'
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream = stream
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, FPS)
            packet.is_keyframe = True
            container.mux(packet)
    return path


def played(source: VideoSource, count: int) -> list[np.ndarray]:
    pictures = []
    while len(pictures) < count:
        try:
            frame = source.read(0.2)
        except TimeoutError:
            continue
        image = frame.image
        pictures.append(from_jpeg(image) if isinstance(image, bytes) else image)
    return pictures


def levels(pictures: list[np.ndarray]) -> list[int]:
    return [int(picture.mean().round()) for picture in pictures]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of three episodes of five pictures of two cameras in one file each, as LeRobot."""
    (tmp_path / 'meta' / 'episodes' / 'chunk-000').mkdir(parents=True)
    rows: dict[str, list[float]] = {'episode_index': [0, 1, 2]}
    for key, first in (('observation.images.wrist', 0), ('observation.images.overhead', 100)):
        folder = tmp_path / 'videos' / key / 'chunk-000'
        folder.mkdir(parents=True)
        film(folder / 'file-000.mp4', [first + 10 * n for n in range(15)])
        rows |= {
            f'videos/{key}/chunk_index': [0, 0, 0],
            f'videos/{key}/file_index': [0, 0, 0],
            f'videos/{key}/from_timestamp': [0.0, 5 / FPS, 10 / FPS],
            f'videos/{key}/to_timestamp': [5 / FPS, 10 / FPS, 15 / FPS],
        }
    pq.write_table(
        pa.table(rows), tmp_path / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'
    )
    features = ', '.join(
        f'"observation.images.{name}": {{"dtype": "video"}}' for name in ('wrist', 'overhead')
    )
    (tmp_path / 'meta' / 'info.json').write_text(
        '{"codebase_version": "v3.0", "features": {"action": {"dtype": "float32"}, '
        f'{features}}}, "video_path": '
        '"videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"}'
    )
    return tmp_path


def test_a_file_is_played_in_time_again_and_again(tmp_path: Path) -> None:
    source = VideoSource(str(film(tmp_path / 'a.mp4', [0, 50, 100, 150, 200])), 64, 48)
    delivery = source.open()
    assert (delivery.rate, delivery.encoding, delivery.width) == (FPS, 'H264', 64)
    start = time.monotonic()
    seen = levels(played(source, 11))
    assert np.abs(np.subtract(seen, [0, 50, 100, 150, 200] * 2 + [0])).max() <= 3
    assert time.monotonic() - start >= 9.5 / FPS
    source.close()


def test_stamps_and_numbers_go_on(tmp_path: Path) -> None:
    source = VideoSource(str(film(tmp_path / 'a.mp4', [0, 50])), 64, 48)
    source.open()
    frames = [source.read(1.0) for _ in range(5)]
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert all(a.captured < b.captured for a, b in pairwise(frames))
    assert frames[-1].captured <= time.time_ns()
    source.close()


def test_without_loop_it_ends(tmp_path: Path) -> None:
    source = VideoSource(str(film(tmp_path / 'a.mp4', [0, 50])), 64, 48, loop=False)
    source.open()
    played(source, 2)
    with pytest.raises(Ended):
        source.read(1.0)
    source.close()


def test_motion_jpeg_is_passed_on_as_it_is(tmp_path: Path) -> None:
    pictures = [to_jpeg(grey(level)) for level in (0, 100, 200)]
    source = VideoSource(str(camera_film(tmp_path / 'a.avi', pictures)), 64, 48)
    assert source.open().encoding == 'MJPEG'
    assert [source.read(1.0).image for _ in range(6)] == pictures * 2
    source.close()


def test_a_damaged_picture_of_motion_jpeg_is_told(tmp_path: Path) -> None:
    whole = to_jpeg(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    source = VideoSource(str(camera_film(tmp_path / 'a.avi', [whole, whole[:900]])), 64, 48)
    source.open()
    source.read(1.0)
    with pytest.raises(DamagedFrame, match='cut off after 900 bytes'):
        source.read(1.0)
    source.close()


@pytest.mark.parametrize(('episode', 'camera'), [(0, 'wrist'), (1, 'wrist'), (2, 'overhead')])
def test_an_episode_of_a_dataset_is_its_own_part(dataset: Path, episode: int, camera: str) -> None:
    source = VideoSource(str(dataset), 64, 48, camera=camera, episode=episode)
    source.open()
    first = 50 * episode + 100 * (camera == 'overhead')
    wanted = [first + 10 * n for n in range(5)] * 2
    assert np.abs(np.subtract(levels(played(source, 10)), wanted)).max() <= 3
    source.close()


@pytest.mark.parametrize(
    ('camera', 'episode', 'reason'),
    [
        ('left', 0, 'no video of a camera left; it has observation.images.wrist, '),
        ('wrist', 3, 'episode: 3; .* has 3 episodes, from 0'),
    ],
)
def test_what_a_dataset_does_not_have_is_named(
    dataset: Path, camera: str, episode: int, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        VideoSource(str(dataset), 64, 48, camera=camera, episode=episode)


def test_what_is_no_video_is_refused(dataset: Path, tmp_path: Path) -> None:
    for device in ('', '/nowhere.mp4'):
        with pytest.raises(UserError, match='give a video file, or the folder'):
            VideoSource(device, 64, 48)
    with pytest.raises(UserError, match='no LeRobot dataset with videos'):
        VideoSource(str(dataset / 'videos'), 64, 48)
    text = tmp_path / 'text.mp4'
    text.write_text('no video')
    with pytest.raises(UserError, match='no video that can be played'):
        VideoSource(str(text), 64, 48).open()
    info = dataset / 'meta' / 'info.json'
    info.write_text(info.read_text().replace('v3.0', 'v2.1'))
    with pytest.raises(UserError, match=r'a dataset of v2\.1; convert it'):
        VideoSource(str(dataset), 64, 48)


def test_another_size_is_refused(tmp_path: Path) -> None:
    file = film(tmp_path / 'a.mp4', [0])
    with pytest.raises(UserError, match='64x48, not 640x480: scale the video, or say its width'):
        VideoSource(str(file), 640, 480).open()
