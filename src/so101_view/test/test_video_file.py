"""A video file is playable at every moment, complete under its name, and found by its time."""

import contextlib
import resource
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from so101_cameras.image import Array
from so101_view.sound import RATE
from so101_view.video_file import LATER, LIVE, VideoFile, find_video

SIZE = (64, 48)
S = 1_000_000_000
STARTED = 1_700_000_000 * S + 123_456_789

# Writes for ever, in the real frame's size, and says how many frames there are.
WRITER = """
import sys, numpy as np
from pathlib import Path
from so101_view.video_file import VideoFile
file = VideoFile(Path(sys.argv[1]), (960, 540), 30, {started}, sound=True)
rng = np.random.default_rng(0)
pictures = rng.integers(0, 255, (4, 540, 960, 3), dtype=np.uint8)
while True:
    file.write(pictures[file.frames % 4])
    file.write_sound(np.zeros(1600, np.int16))
    print(file.frames, flush=True)
"""


def grey(value: int) -> Array:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def playable(path: Path) -> int:
    """Return how many frames can be decoded: the last fragment may have been cut."""
    frames = 0
    with av.open(path) as video, contextlib.suppress(av.InvalidDataError):
        for _ in video.decode(video=0):
            frames += 1
    return frames


def values(path: Path) -> list[int]:
    """Return each frame's grey value as written."""
    with av.open(path) as video:
        return [round(f.to_ndarray(format='rgb24').mean()) for f in video.decode(video=0)]


@pytest.mark.parametrize('preset', [LIVE, LATER])
def test_every_frame_is_there_in_its_order_at_its_time(tmp_path: Path, preset: str) -> None:
    file = VideoFile(tmp_path / 'a.mp4', SIZE, 30, STARTED, preset=preset)
    wanted = [10 * (i % 20) + 20 for i in range(60)]
    for value in wanted:
        file.write(grey(value))
    for _ in range(30):
        file.repeat()
    assert not file.path.exists()
    file.close()
    assert [path.name for path in tmp_path.iterdir()] == ['a.mp4']
    assert np.abs(np.subtract(values(file.path), wanted + 30 * wanted[-1:])).max() <= 3
    with av.open(file.path) as video:
        assert video.duration == 3_000_000
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx(np.arange(90) / 30)


def test_colours_stay_what_they_were(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / 'a.mp4', SIZE, 30, STARTED)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 30, 40), (20, 160, 220)
    for _ in range(3):
        file.write(picture)
    file.close()
    with av.open(file.path) as video:
        seen = next(video.decode(video=0)).to_ndarray(format='rgb24').astype(int)
    assert np.abs(seen[20, 10] - (200, 30, 40)).max() < 8
    assert np.abs(seen[20, 50] - (20, 160, 220)).max() < 8


def test_sound_is_aac_and_where_it_was_written(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / 'a.mp4', SIZE, 30, STARTED, sound=True)
    samples = np.zeros(3 * RATE, np.int16)
    samples[RATE : RATE + 4800] = 20_000 * np.sin(np.arange(4800) / 8)
    for i in range(90):
        file.write(grey(100))
        file.write_sound(samples[i * 1600 : (i + 1) * 1600])
    file.close()
    with av.open(file.path) as video:
        stream = video.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ('aac', RATE)
        assert video.duration == pytest.approx(3_000_000, abs=25_000)
        heard = np.zeros(4 * RATE)
        for frame in video.decode(audio=0):
            begin = round(frame.time * RATE)
            heard[begin : begin + frame.samples] = frame.to_ndarray()[0]
    assert np.flatnonzero(np.abs(heard) > 0.2)[0] / RATE == pytest.approx(1.0, abs=0.002)


def test_a_killed_writer_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    code = WRITER.format(started=STARTED)
    with subprocess.Popen(
        [sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        frames = 0
        for line in writer.stdout:
            if (frames := int(line)) >= 100:
                break
        writer.send_signal(signal.SIGKILL)
    partial = tmp_path / 'a.partial.mp4'
    assert not path.exists()
    assert playable(partial) >= frames - 30
    assert find_video(tmp_path, STARTED + 2 * S) == (partial, 2.0)


def test_a_full_disk_is_an_oserror_and_what_was_written_stays_playable(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / 'a.mp4', (320, 240), 30, STARTED, sound=True)
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(OSError, match='File too large'):
            for i in range(10_000):
                file.write(np.roll(noise, i, axis=1))
                file.write_sound(np.zeros(1600, np.int16))
        file.abandon()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert not file.path.exists()
    assert playable(file.partial) >= file.frames - 30


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / 'a.mp4', SIZE, 30, STARTED)
    file.write(grey(1))
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_video_of_a_moment_is_found(tmp_path: Path) -> None:
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    (tmp_path / 'empty.mp4').touch()
    for name, started in (('a', STARTED), ('b', STARTED + 60 * S)):
        file = VideoFile(tmp_path / f'{name}.mp4', SIZE, 30, started)
        for i in range(60):
            file.write(grey(i))
        file.close()
    with av.open(tmp_path / 'strange.mp4', 'w') as other:  # of another program
        stream = other.add_stream('libx264', rate=30)
        stream.width, stream.height = SIZE
        other.mux(stream.encode(av.VideoFrame(*SIZE, 'yuv420p')))
        other.mux(stream.encode(None))
    assert find_video(tmp_path, STARTED) == (tmp_path / 'a.mp4', 0.0)
    assert find_video(tmp_path, STARTED + 61 * S) == (tmp_path / 'b.mp4', pytest.approx(1.0))
    assert find_video(tmp_path, STARTED + 30 * S) is None
    assert find_video(tmp_path, STARTED - 1) is None
    assert find_video(tmp_path / 'nothing', STARTED) is None
