import errno
import fcntl
import io
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from rich.console import Console

from so101_training.training import frame_cache
from so101_training.training.frame_cache import FrameCache
from so101_training.training.videos import Clip, DataError, VideoFrames

RATE = 30
SHAPE = (48, 64)
SIZE = (24, 32)
COUNT = 12


def write_video(path: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('h264', RATE, options={'g': '2'})
        stream.height, stream.width = SHAPE
        stream.pix_fmt = 'yuv420p'
        for _ in range(COUNT):
            pixels = random.integers(0, 255, (*SHAPE, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, 'rgb24')))
        file.mux(stream.encode())
    return path


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    """Two cameras' videos of one episode each."""
    times = np.arange(COUNT) / RATE
    return [
        Clip(camera, 3, write_video(tmp_path / f'{camera}.mp4', seed), times, 1e-4, SHAPE, SIZE)
        for seed, camera in enumerate(('wrist', 'overhead'))
    ]


def console() -> Console:
    return Console(file=io.StringIO())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.is_file() and path.name != '.lock')


def made(folder: Path, clips: list[Clip]) -> FrameCache:
    cache = FrameCache(folder, clips)
    cache.make(console())
    return cache


def test_it_holds_the_frames_that_decoding_gives(tmp_path: Path, clips: list[Clip]) -> None:
    cache, decoded = made(tmp_path / 'cache', clips), VideoFrames(clips)
    assert cache.missing_bytes == 0
    for camera in ('wrist', 'overhead'):
        for offset in (0, 11, 5):
            frame = cache.read(camera, 3, offset)
            assert frame.shape == (*SIZE, 3)
            np.testing.assert_array_equal(frame, decoded.read(camera, 3, offset))


def test_what_is_there_is_not_made_again(tmp_path: Path, clips: list[Clip]) -> None:
    folder = tmp_path / 'cache'
    assert FrameCache(folder, clips).missing_bytes == 2 * COUNT * SIZE[0] * SIZE[1] * 3
    made(folder, clips[:1])
    (first,) = files(folder)
    before = first.stat().st_mtime_ns
    assert FrameCache(folder, clips).missing_bytes == COUNT * SIZE[0] * SIZE[1] * 3
    made(folder, clips)
    assert first.stat().st_mtime_ns == before
    assert len(files(folder)) == 2


def test_frames_of_a_changed_video_are_made_again(tmp_path: Path, clips: list[Clip]) -> None:
    folder = tmp_path / 'cache'
    before = made(folder, clips).read('wrist', 3, 4)
    write_video(clips[0].video, seed=9)
    again = made(folder, clips).read('wrist', 3, 4)
    assert (before != again).any()
    np.testing.assert_array_equal(again, VideoFrames(clips).read('wrist', 3, 4))
    assert len(files(folder)) == 2


def test_another_size_is_another_cache(tmp_path: Path, clips: list[Clip]) -> None:
    full = [Clip(c.camera, 3, c.video, c.times, c.tolerance, SHAPE, SHAPE) for c in clips]
    small, large = made(tmp_path / 'cache', clips), made(tmp_path / 'cache', full)
    assert small.read('wrist', 3, 1).shape == (*SIZE, 3)
    assert large.read('wrist', 3, 1).shape == (*SHAPE, 3)


def test_a_making_that_failed_leaves_whole_files_and_goes_on_there(
    tmp_path: Path, clips: list[Clip]
) -> None:
    folder = tmp_path / 'cache'
    good = clips[1].video.read_bytes()
    clips[1].video.write_bytes(good[:400])
    with pytest.raises(DataError, match=r'overhead\.mp4 is not a video'):
        made(folder, clips)
    assert all(path.parent.name == 'wrist' for path in files(folder))
    clips[1].video.write_bytes(good)
    cache = made(folder, clips)
    assert cache.read('overhead', 3, 0).shape == (*SIZE, 3)


def test_what_a_killed_making_left_is_removed(tmp_path: Path, clips: list[Clip]) -> None:
    folder = tmp_path / 'cache'
    left = folder / '32x24' / 'wrist' / 'episode_000003-0.partial'
    left.parent.mkdir(parents=True)
    left.write_bytes(b'half')
    made(folder, clips)
    assert left not in files(folder)
    assert len(files(folder)) == 2


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DataError, match=r'no space left for the .* make room, give another'):
        made(tmp_path / 'cache', clips)
    assert files(tmp_path / 'cache') == []


@pytest.mark.parametrize(
    ('number', 'message'), [(errno.ENOSPC, 'no space left'), (errno.EIO, 'cannot keep decoded')]
)
def test_a_disk_that_does_not_take_it_is_said(
    tmp_path: Path,
    clips: list[Clip],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    message: str,
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', refuse)
    with pytest.raises(DataError, match=message):
        made(tmp_path / 'cache', clips)
    assert files(tmp_path / 'cache') == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, clips: list[Clip]) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match=r'cannot keep decoded frames in .*file'):
        made(tmp_path / 'file', clips)


def test_a_file_that_lost_frames_is_named(tmp_path: Path, clips: list[Clip]) -> None:
    cache = made(tmp_path / 'cache', clips)
    (wrist,) = (tmp_path / 'cache' / '32x24' / 'wrist').iterdir()
    os.truncate(wrist, 5000)
    assert cache.missing_bytes > 0
    with pytest.raises(DataError, match=r'\.rgb lacks its frame 9; delete the file'):
        cache.read('wrist', 3, 9)
    wrist.unlink()
    with pytest.raises(DataError, match=r'\.rgb cannot be read: .*No such file'):
        cache.read('wrist', 3, 0)


def test_a_missing_video_is_named(tmp_path: Path, clips: list[Clip]) -> None:
    clips[0].video.unlink()
    with pytest.raises(DataError, match=r'wrist\.mp4 is missing'):
        FrameCache(tmp_path / 'cache', clips)


def test_it_waits_for_another_process_that_makes_it(tmp_path: Path, clips: list[Clip]) -> None:
    folder = tmp_path / 'cache'
    folder.mkdir()
    waiting = threading.Event()

    class Listening(io.StringIO):
        def write(self, text: str) -> int:
            if 'waiting for another process' in text:
                waiting.set()
            return super().write(text)

    cache = FrameCache(folder, clips)
    failures: list[Any] = []

    def make() -> None:
        try:
            cache.make(Console(file=Listening(), width=500))
        except DataError as error:
            failures.append(error)

    with (folder / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=make)
        thread.start()
        assert waiting.wait(20)
        assert files(folder) == []
    thread.join(20)
    assert failures == []
    assert cache.missing_bytes == 0


def test_an_interrupt_ends_it_with_whole_files_only(
    tmp_path: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(frame_cache, 'as_completed', interrupt)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / 'cache', clips)
    whole = COUNT * SIZE[0] * SIZE[1] * 3
    assert all(path.stat().st_size == whole for path in files(tmp_path / 'cache'))
