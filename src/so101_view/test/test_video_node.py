"""The video node films a run, in step with its sound, whatever is missing."""

import contextlib
import os
import resource
import signal
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CompressedImage, Image

from so101_cameras.image import Array, to_jpeg
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS
from so101_view.clap import Clapper, seen
from so101_view.sound import Samples
from so101_view.video_file import find_video

MODULE = 'so101_view.video_node'
GREY = np.full((480, 640, 3), 90, np.uint8)


def raw(pixels: Array) -> Image:
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, step=3 * width, encoding='rgb8')
    message.header.stamp = from_nanoseconds(time.time_ns())
    message.data = array('B', pixels.tobytes())
    return message


def jpeg(pixels: Array) -> CompressedImage:
    message = CompressedImage(format='rgb8; jpeg compressed bgr8')
    message.header.stamp = from_nanoseconds(time.time_ns())
    message.data = array('B', to_jpeg(pixels))
    return message


class Video:
    """The node under test, and what it says of itself."""

    def __init__(self, graph: Any, directory: Path, **parameters: Any) -> None:
        self._graph = graph
        self.values: dict[str, str] = {}
        self.level = -1
        self.message = ''
        graph.node.subscribe(DIAGNOSTICS, self._hear)
        self.process = graph.start(MODULE, directory=directory, **parameters)

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'video/file':
                self.values = {pair.key: pair.value for pair in status.values}
                self.level, self.message = status.level[0], status.message

    def wait_for(self, condition: Callable[[dict[str, str]], bool], what: str) -> None:
        self._graph.wait_for(lambda: bool(self.values) and condition(self.values), what)

    def end(self) -> str:
        """Stop the node as the runner does; return what it said."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=15)
        assert self.process.returncode == 0, err
        return out + err


def publisher(graph: Any, camera: str, kind: str) -> Any:
    topics = CAMERAS[camera]
    return graph.node.publisher(topics.image if kind == 'raw' else topics.compressed)


def fifo(tmp_path: Path) -> tuple[Path, int]:
    """Return a microphone, and where to write what it hears."""
    path = tmp_path / 'microphone'
    os.mkfifo(path)
    return path, os.open(path, os.O_RDWR | os.O_NONBLOCK)


@pytest.mark.alone
@pytest.mark.parametrize(('kind', 'made', 'latency'), [('raw', raw, 0.0), ('jpeg', jpeg, 0.06)])
def test_a_clap_is_seen_and_heard_at_once(
    graph: Any, tmp_path: Path, kind: str, made: Callable[[Array], Any], latency: float
) -> None:
    overhead = publisher(graph, 'overhead', kind)
    # Small: a machine that is busy with other tests keeps up with it.
    images = {b: made(np.full((48, 64, 3), 255 if b else 40, np.uint8)) for b in (True, False)}
    path, writing = fifo(tmp_path)
    video = Video(graph, tmp_path / 'out', microphone=f'file:{path}')
    graph.wait_for(lambda: overhead.get_subscription_count() > 0, 'subscription')

    def see(bright: bool, captured: int) -> None:
        images[bright].header.stamp = from_nanoseconds(captured)
        overhead.publish(images[bright])

    def hear(samples: Samples) -> None:
        with contextlib.suppress(BlockingIOError):  # as a sound server drops what nobody takes
            os.write(writing, samples.tobytes())

    with Clapper(see, hear, fps=29.0, latency=latency) as clapper:
        graph.wait_for(lambda: len(clapper.claps) >= 7, 'row of claps')
        video.wait_for(lambda v: v['sound'] == 'on' and float(v['seconds']) > 4, 'film with sound')
        assert abs(float(video.values['sound_offset_ms'])) < 20
        said = video.end()
    (written,) = (tmp_path / 'out').iterdir()
    assert f'{written}: ' in said
    found = seen(written, clapper.claps)
    print('beep after flash, ms:', [round(each.offset * 1000, 1) for each in found])
    assert len(found) >= 3
    assert max(abs(each.offset) for each in found) <= 0.05
    assert max(abs(each.flash) for each in found) <= 0.05


@pytest.mark.alone
def test_the_video_is_as_long_as_it_was_filmed(graph: Any, tmp_path: Path) -> None:
    overhead = publisher(graph, 'overhead', 'raw')
    video = Video(graph, tmp_path, prefix='record')
    graph.wait_for(lambda: overhead.get_subscription_count() > 0, 'subscription')
    began = time.time_ns()
    overhead.publish(raw(GREY))
    video.wait_for(lambda v: float(v['seconds']) > 2, 'film of two seconds')  # of one image
    values = video.values
    ended = time.time_ns()
    video.end()
    (written,) = tmp_path.iterdir()
    assert written.name.startswith('record_') and written.suffix == '.mp4'
    assert values['path'] == str(written)
    assert began <= int(values['started']) <= began + 100_000_000
    assert find_video(tmp_path, began + 1_000_000_000) == (written, pytest.approx(1.0, abs=0.1))
    with av.open(written) as film:
        assert not film.streams.audio
        assert film.duration is not None
        # It ends when the node ended, which was after `ended`, by less than a second.
        assert -1 / 30 <= film.duration * 1e-6 - (ended - began) * 1e-9 < 1.0
        frames = list(film.decode(video=0))
    assert abs(frames[20].to_ndarray(format='rgb24')[0, 0].astype(int) - 90).max() < 5
    assert frames[-1].to_ndarray(format='rgb24')[0, 0].max() < 50  # silent for a second


def test_the_caption_is_that_of_the_session(graph: Any, tmp_path: Path) -> None:
    overhead = publisher(graph, 'overhead', 'raw')
    progress = graph.node.publisher(DIAGNOSTICS)
    video = Video(graph, tmp_path)
    graph.wait_for(lambda: overhead.get_subscription_count() > 0, 'subscription')
    values = {'state': 'running', 'kind': 'rollout', 'number': '3', 'total': '5', 'seconds': '7.1'}
    status = DiagnosticStatus(name='session/progress', level=bytes([0]))
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    progress.publish(DiagnosticArray(status=[status]))
    overhead.publish(raw(GREY))
    video.wait_for(lambda v: float(v['seconds']) > 1, 'film')
    video.end()
    with av.open(next(tmp_path.iterdir())) as film:
        frame = list(film.decode(video=0))[10].to_ndarray(format='rgb24')
    assert (frame[14:38, 14:200] > 200).any() and not (frame[14:38, 400:] > 200).any()


def test_without_sound_and_with_one_camera_there_is_a_video_and_the_sound_comes_later(
    graph: Any, tmp_path: Path
) -> None:
    wrist = publisher(graph, 'wrist', 'jpeg')
    microphone = tmp_path / 'microphone'
    video = Video(graph, tmp_path / 'out', cameras=['wrist'], microphone=f'file:{microphone}')
    graph.wait_for(lambda: wrist.get_subscription_count() > 0, 'subscription')
    wrist.publish(jpeg(GREY))
    video.wait_for(lambda v: v['sound'] == 'silence' and float(v['seconds']) > 0, 'silence')
    assert (video.level, video.values['sound_reason']) == (1, 'No such file or directory')
    os.mkfifo(microphone)
    writing = os.open(microphone, os.O_RDWR)
    beep = np.full(9600, 20_000, '<i2')
    graph.wait_for(
        lambda: os.write(writing, beep.tobytes()) > 0 and video.values['sound'] == 'on', 'sound'
    )
    video.end()
    with av.open(next((tmp_path / 'out').iterdir())) as film:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert np.abs(heard[:4800]).max() < 0.01
    assert np.abs(heard).max() > 0.3


def test_a_full_disk_ends_the_video_and_not_the_run(graph: Any, tmp_path: Path) -> None:
    overhead = publisher(graph, 'overhead', 'raw')
    video = Video(graph, tmp_path)
    graph.wait_for(lambda: overhead.get_subscription_count() > 0, 'subscription')
    resource.prlimit(video.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)

    def ended() -> bool:
        overhead.publish(raw(np.roll(noise, time.monotonic_ns() % 640, axis=1)))
        time.sleep(0.03)
        return video.level == 2

    graph.wait_for(ended, 'error')
    assert 'the video ends after' in video.message and 'File too large' in video.message
    assert video.process.poll() is None
    said = video.end()
    assert said.count('the video ends after') == 1
    (left,) = tmp_path.iterdir()
    assert left.name.endswith('.partial.mp4')


def test_a_folder_that_takes_nothing_is_refused_at_the_start(graph: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    for parameters, said in (
        ({'directory': tmp_path / 'file'}, 'parameter directory'),
        ({'directory': tmp_path, 'prefix': 'a/b'}, 'parameter prefix'),
        ({'directory': tmp_path, 'microphone': f'file:{tmp_path / "file"}'}, 'no FIFO'),
    ):
        process = graph.start(MODULE, **parameters)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert said in err and 'Traceback' not in err


def test_a_run_without_any_camera_leaves_no_file(graph: Any, tmp_path: Path) -> None:
    video = Video(graph, tmp_path)
    video.wait_for(lambda v: v['path'] == '', 'status')
    assert video.message == 'waiting for the first image'
    assert 'no video' in video.end()
    assert list(tmp_path.iterdir()) == []
