import pickle
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from lerobot.datasets.video_utils import decode_video_frames_pyav

from so101_training.training import videos
from so101_training.training.videos import Clip, DataError, Video, VideoFrames

RATE = 30
SHAPE = (48, 64)


def write_video(path: Path, count: int = 20, first: int = 0, **options: str) -> Path:
    """Write frames of noise, whose brightness grows from one to the next, from number `first`."""
    random = np.random.default_rng(first)
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('h264', RATE, options={'g': '2', **options})
        stream.height, stream.width = SHAPE
        stream.pix_fmt = 'yuv420p'
        for number in range(first, first + count):
            pixels = random.integers(0, 30, (*SHAPE, 3), np.uint8) + np.uint8(10 * number % 200)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, 'rgb24')))
        file.mux(stream.encode())
    return path


def clip_of(path: Path, count: int = 20, size: tuple[int, int] = SHAPE, episode: int = 0) -> Clip:
    times = np.arange(count, dtype=np.float32).astype(np.float64) / RATE
    return Clip('wrist', episode, path, times, 1e-4, SHAPE, size)


@pytest.mark.parametrize(
    'options', [{}, {'g': '1'}, {'g': '12', 'bf': '0'}, {'g': '12', 'bf': '3'}], ids=str
)
def test_a_frame_is_the_one_that_lerobot_decodes(tmp_path: Path, options: dict[str, str]) -> None:
    path = write_video(tmp_path / 'a.mp4', **options)
    frames = VideoFrames([clip_of(path)])
    for offset in (0, 19, 7, 8, 3, 12, 0):
        theirs = decode_video_frames_pyav(path, [offset / RATE], 1e-4, return_uint8=True)[0]
        ours = frames.read('wrist', 0, offset)
        np.testing.assert_array_equal(ours, theirs.permute(1, 2, 0).numpy())


def test_frames_in_a_row_are_those_one_by_one(tmp_path: Path) -> None:
    clip = clip_of(write_video(tmp_path / 'a.mp4', g='12'))
    frames = VideoFrames([clip])
    video = Video(clip.video)
    for start in (0, 5):
        row = list(video.frames(clip.times[start:], clip.tolerance))
        single = [frames.read('wrist', 0, offset) for offset in range(start, 20)]
        np.testing.assert_array_equal(row, single)


def test_a_frame_is_made_as_small_as_torch_would_but_for_rounding(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mp4')
    full = VideoFrames([clip_of(path)]).read('wrist', 0, 4)
    small = VideoFrames([clip_of(path, size=(30, 40))]).read('wrist', 0, 4)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(full).permute(2, 0, 1)[None].float(), (30, 40), mode='bilinear'
    )
    difference = small - theirs[0].permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 1.0
    assert np.abs(difference).mean() <= 0.3


def test_files_beyond_the_limit_are_closed_and_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, 'OPEN_FILES', 1)
    clips = [
        clip_of(write_video(tmp_path / f'{episode}.mp4', first=episode), episode=episode)
        for episode in range(3)
    ]
    frames = VideoFrames(clips)
    before = [frames.read('wrist', episode, 2) for episode in range(3)]
    assert len(frames._open) == 1
    np.testing.assert_array_equal([frames.read('wrist', e, 2) for e in range(3)], before)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(frames)).read('wrist', 1, 2), before[1]
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = data.index(b'mdat') + 4
    data[start:-2000] = bytes(len(data) - 2000 - start)
    path.write_bytes(data)


@pytest.mark.parametrize('damage', [cut, garble, Path.unlink])
def test_a_damaged_video_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = write_video(tmp_path / 'a.mp4')
    damage(path)
    with pytest.raises(DataError, match=r'a\.mp4 .*; convert the dataset again'):
        VideoFrames([clip_of(path)]).read('wrist', 0, 3)


def test_a_video_without_the_frame_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mp4', count=10)
    with pytest.raises(DataError, match=r'a\.mp4 has no frame at 0\.5000 s'):
        VideoFrames([clip_of(path)]).read('wrist', 0, 15)
    between = Clip('wrist', 0, path, np.array([0.05]), 1e-4, SHAPE, SHAPE)
    with pytest.raises(DataError, match=r'no frame at 0\.0500 s'):
        VideoFrames([between]).read('wrist', 0, 0)


def test_a_video_of_another_size_is_named(tmp_path: Path) -> None:
    clip = clip_of(write_video(tmp_path / 'a.mp4'))
    other = Clip('wrist', 0, clip.video, clip.times, 1e-4, (480, 640), (480, 640))
    with pytest.raises(DataError, match=r'64x48, not of the 640x480'):
        VideoFrames([other]).read('wrist', 0, 0)


class Failing(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        try:
            raise ValueError('the cause')
        except ValueError as error:
            raise DataError('what happened; what to do') from error


def test_an_error_in_a_worker_arrives_as_its_text() -> None:
    loader = torch.utils.data.DataLoader(Failing(), num_workers=1, multiprocessing_context='spawn')
    with pytest.raises(DataError) as caught:
        next(iter(loader))
    assert str(caught.value) == 'what happened; what to do'
