"""A film shows each moment once, at a constant rate: what was seen, and heard, of it."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np

from so101_view.caption import Caption
from so101_view.film import Film
from so101_view.picture import HEIGHT, WIDTH, Layout
from so101_view.sound import RATE, Sound
from so101_view.video_file import VideoFile

MS = 1_000_000
S = 1000 * MS
START = 5 * S


def message(grey: int) -> SimpleNamespace:
    data = bytes([grey]) * (8 * 6 * 3)
    return SimpleNamespace(encoding='rgb8', height=6, width=8, step=24, data=data)


def opened(path: Path, sound: Sound | None = None, fps: int = 30) -> tuple[VideoFile, Film]:
    file = VideoFile(path, (WIDTH, HEIGHT), fps, START, sound=sound is not None)
    return file, Film(file, Layout('wrist', None), START, sound)


def greys(path: Path) -> list[int]:
    with av.open(path) as video:
        frames = [frame.to_ndarray(format='gray')[300, 300] for frame in video.decode(video=0)]
    return [round(int(value), -1) for value in frames]


def test_a_frame_shows_the_middle_of_its_time(tmp_path: Path) -> None:
    file, film = opened(tmp_path / 'a.mp4', fps=10)
    for milliseconds, grey in ((0, 100), (49, 110), (151, 120), (240, 130), (360, 140)):
        film.images['wrist'].add(START + milliseconds * MS, message(grey))
    film.advance(START + 399 * MS)
    file.close()
    assert greys(file.path) == [110, 110, 130, 130]  # at 50, 150, 250, 350 ms
    assert film.repeated == 2


def test_frames_are_as_many_as_the_time_is_long_however_seldom_they_are_written(
    tmp_path: Path,
) -> None:
    file, film = opened(tmp_path / 'a.mp4')
    film.images['wrist'].add(START, message(100))
    now = START
    for step in (1, 40, 3, 500, 20, 2000, 7, 429):  # ms
        now += step * MS
        film.advance(now)
        assert abs(file.seconds - (now - START) / S) <= 1 / 30
    file.close()
    with av.open(file.path) as video:
        assert video.duration is not None
        assert abs(video.duration * 1e-6 - 3.0) <= 1 / 30


def test_a_camera_that_is_silent_for_a_second_is_no_longer_shown(tmp_path: Path) -> None:
    file, film = opened(tmp_path / 'a.mp4', fps=10)
    film.images['wrist'].add(START, message(100))
    film.advance(START + 1500 * MS)
    file.close()
    assert greys(file.path) == [100] * 10 + [20] * 5


def test_what_cannot_be_decoded_is_said_and_costs_the_image(tmp_path: Path) -> None:
    file, film = opened(tmp_path / 'a.mp4', fps=10)
    film.images['wrist'].add(START, SimpleNamespace(format='jpeg', data=b'nothing'))
    film.advance(START + 500 * MS)
    file.close()
    assert greys(file.path) == [20] * 5
    assert film.repeated == 4  # it was tried once


def test_a_new_caption_is_a_new_picture(tmp_path: Path) -> None:
    file, film = opened(tmp_path / 'a.mp4', fps=10)
    film.images['wrist'].add(START, message(100))
    film.advance(START + 200 * MS)
    film.caption = Caption(('rollout 1 of 5',))
    film.advance(START + 400 * MS)
    file.close()
    assert (file.frames, film.repeated) == (4, 2)


def test_sound_is_as_long_as_the_pictures_and_in_step(tmp_path: Path) -> None:
    sound = Sound(START)
    file, film = opened(tmp_path / 'a.mp4', sound)
    film.images['wrist'].add(START, message(100))
    beep = np.zeros(3 * RATE, np.int16)
    beep[RATE : RATE + 4800] = 20_000
    for i in range(0, len(beep), 960):
        arrived = START + (i + 960) * S // RATE
        sound.add(beep[i : i + 960], arrived)
        film.advance(arrived - 250 * MS)
    film.advance(START + 3 * S)
    file.close()
    with av.open(file.path) as video:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in video.decode(audio=0)])
    assert abs(len(heard) / RATE - 3.0) < 1 / 30
    assert abs(np.flatnonzero(np.abs(heard) > 0.2)[0] / RATE - 1.0) < 0.002


def test_two_films_in_one_file_follow_each_other(tmp_path: Path) -> None:
    file, film = opened(tmp_path / 'a.mp4', fps=10)
    film.images['wrist'].add(START, message(100))
    film.advance(START + 300 * MS)
    other = Film(file, Layout('wrist', None), START + 60 * S)
    other.images['wrist'].add(START + 60 * S, message(200))
    other.advance(START + 60 * S + 200 * MS)
    file.close()
    assert greys(file.path) == [100] * 3 + [200] * 2
