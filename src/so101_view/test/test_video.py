"""A recorded episode becomes a video, whoever recorded it, or nothing at all."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from so101_cameras.image import to_jpeg
from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode, Mark
from so101_node.topics import CAMERAS
from so101_view import video
from so101_view.video_file import find_video

S = 1_000_000_000
BEGAN = 1_700_000_000 * S

# Camera, raw or JPEG, seconds since the begin, grey value.
Shot = tuple[str, str, float, int]


def record(
    folder: Path, shots: Sequence[Shot], storage: StoragePlugin = StoragePlugin.MCAP
) -> Path:
    """Write a bag as `ros2 bag record` does, of small grey images."""
    store: Any = message_definitions()
    types = store.types
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        connections = {}
        for camera, kind, at, grey in shots:
            topics = CAMERAS[camera]
            topic = topics.image if kind == 'raw' else topics.compressed
            if topic.name not in connections:
                connections[topic.name] = writer.add_connection(
                    f'/{topic.name}', topic.type_name, typestore=store
                )
            time = BEGAN + round(at * S)
            stamp = types['builtin_interfaces/msg/Time'](time // S, time % S)
            header = types['std_msgs/msg/Header'](stamp, camera)
            pixels = np.full((48, 64, 3), grey, np.uint8)
            if kind == 'raw':
                message = types[topic.type_name](
                    header, 48, 64, 'rgb8', 0, 192, pixels.reshape(-1)
                )
            else:
                data = np.frombuffer(to_jpeg(pixels), np.uint8)
                message = types[topic.type_name](header, 'jpeg', data)
            writer.write(
                connections[topic.name], time, store.serialize_cdr(message, topic.type_name)
            )
    return folder


def stream(camera: str, kind: str, seconds: float = 2.0, grey: int = 90) -> list[Shot]:
    return [(camera, kind, i / 20, grey + i % 2) for i in range(round(seconds * 20))]


def both(kind: str = 'jpeg', seconds: float = 2.0) -> list[Shot]:
    shots = stream('overhead', kind, seconds) + stream('wrist', kind, seconds, 150)
    return sorted(shots, key=lambda shot: shot[2])


def frames(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        assert not container.streams.audio
        return [frame.to_ndarray(format='gray') for frame in container.decode(video=0)]


@pytest.mark.parametrize('kind', ['raw', 'jpeg'])
@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_any_bag_becomes_a_video_in_its_folder(
    tmp_path: Path, kind: str, storage: StoragePlugin
) -> None:
    folder = record(tmp_path / 'bag', both(kind), storage)
    video.main([str(folder)])
    shown = frames(folder / 'video.mp4')
    assert abs(len(shown) - 1.95 * 30) <= 1
    assert abs(int(shown[30][300, 300]) - 90) < 8
    assert abs(int(shown[30][400, 800]) - 150) < 8
    assert shown[30][20, 12:200].max() > 200  # its name
    assert find_video(folder, BEGAN + S) == (folder / 'video.mp4', pytest.approx(1.0))


def test_a_frame_shows_the_newest_image_received_by_its_time(tmp_path: Path) -> None:
    shots = [('wrist', 'raw', at, grey) for at, grey in ((0.0, 40), (0.33, 80), (0.61, 120))]
    folder = record(tmp_path / 'bag', [*shots, ('wrist', 'raw', 1.0, 160)])
    video.main([str(folder), '--fps', '10'])
    shown = [round(int(frame[300, 300]), -1) for frame in frames(folder / 'video.mp4')]
    assert shown == [40, 40, 40, 80, 80, 80, 120, 120, 120, 120]  # at 0.05, 0.15 ...


def episode(folder: Path, **values: Any) -> Path:
    begun = Episode.begun(BEGAN, 'rollout', 'Pick up the cube', '', '')
    replace(begun, complete=True, duration_s=3.0, ended=BEGAN + 3 * S, **values).save(folder)
    return folder


def test_an_episode_is_captioned_and_as_long_as_it_was(tmp_path: Path) -> None:
    folder = episode(
        record(tmp_path / 'episode', both()),
        outcome='failure',
        reason='it fell',
        marks=(Mark('wrist', 'black', BEGAN, BEGAN + S, 'the wrist camera is black'),),
    )
    video.main([str(folder)])
    shown = frames(folder / 'video.mp4')
    assert abs(len(shown) - 90) <= 1
    lines = [[bool((f[top : top + 28, 12:] > 140).any()) for top in (12, 44, 76)] for f in shown]
    assert lines[10] == [True, True, True]  # caption, reason, mark
    assert lines[45] == [True, True, False]
    assert shown[-1][300, 300] < 40  # the cameras stopped a second before


def test_a_clock_that_jumps_makes_no_hour_of_nothing(tmp_path: Path) -> None:
    shots = [
        *stream('wrist', 'raw', 1.0),
        *[('wrist', 'raw', 3600 + i / 20, 200) for i in range(20)],
    ]
    folder = record(tmp_path / 'bag', shots)
    video.main([str(folder)])
    assert abs(len(frames(folder / 'video.mp4')) - 2 * 0.95 * 30) <= 2


def test_one_camera_alone_fills_the_picture(tmp_path: Path) -> None:
    folder = record(tmp_path / 'bag', stream('wrist', 'jpeg', grey=150))
    video.main([str(folder)])
    assert abs(int(frames(folder / 'video.mp4')[20][300, 300]) - 150) < 8


def test_several_episodes_go_into_their_folders_or_one_after_the_other(tmp_path: Path) -> None:
    folders = [record(tmp_path / name, both(seconds=1.0)) for name in ('a', 'b')]
    video.main([str(folder) for folder in folders])
    apart = [len(frames(folder / 'video.mp4')) for folder in folders]
    video.main([*map(str, folders), '--out', str(tmp_path / 'new' / 'all.mp4')])
    assert len(frames(tmp_path / 'new' / 'all.mp4')) == sum(apart)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        video.main([str(word) for word in words])
    assert exit_.value.code == 1
    return capsys.readouterr().err


def test_what_cannot_be_rendered_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 'no such folder' in refused(capsys, tmp_path / 'nothing')
    (tmp_path / 'empty').mkdir()
    assert 'is no bag' in refused(capsys, tmp_path / 'empty')
    folder = record(tmp_path / 'bag', both(seconds=0.5))
    assert 'ends in .mp4' in refused(capsys, folder, '--out', tmp_path / 'video.avi')
    (tmp_path / 'file').touch()
    assert 'cannot write' in refused(capsys, folder, '--out', tmp_path / 'file' / 'v.mp4')
    no_images = record(tmp_path / 'none', [])
    assert 'no image of overhead or wrist' in refused(capsys, no_images)


def test_a_broken_bag_leaves_no_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record(tmp_path / 'bag', both(seconds=4.0))
    (data,) = folder.glob('*.mcap')
    content = bytearray(data.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = bytes(5000)
    data.write_bytes(content)
    said = refused(capsys, folder)
    assert 'broken' in said and 'Traceback' not in said
    assert not list(folder.glob('*.mp4'))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_who_stops_it_finds_nothing_half_written(tmp_path: Path, number: signal.Signals) -> None:
    folder = record(tmp_path / 'bag', both(seconds=120.0))
    process = subprocess.Popen(
        [sys.executable, '-m', 'so101_view.video', str(folder)], stderr=subprocess.PIPE, text=True
    )
    partial = folder / 'video.partial.mp4'
    while not partial.exists() or not partial.stat().st_size:
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert 'stopped' in err and 'Traceback' not in err
    assert not list(folder.glob('*.mp4'))
