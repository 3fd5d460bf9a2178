"""The camera node on an emulated camera: its topics, its status, and whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from so101_cameras.emulated_v4l2 import CONTROLS
from so101_cameras.image import from_compressed, from_message
from so101_cameras.sources import videodev2 as v4l2
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS, Topic

PROGRAM = Path(__file__).parent / 'emulated_camera_node.py'
DEFAULTS = {number: default for number, (_, _, _, default) in CONTROLS.items()}
OK, WARN, ERROR = b'\0', b'\1', b'\2'
FIXED = {'exposure': 12_000, 'gain': 20, 'white_balance': 4600}


class Camera:
    """The node under test and what it publishes."""

    def __init__(self, graph: Any, folder: Path) -> None:
        self.graph = graph

        self.statuses: list[DiagnosticStatus] = []
        self._folder = folder
        self._log = folder / 'log'
        self.process: subprocess.Popen[str] | None = None
        graph.node.subscribe(DIAGNOSTICS, self._keep)

    def start(self, *, node: str = 'camera', plugged: bool = True, **parameters: Any) -> None:
        arguments = [x for name, value in parameters.items() for x in ('-p', f'{name}:={value}')]
        with self._log.open('a') as log:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, node, self._folder, '--ros-args', *arguments],
                stdin=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {'XDG_RUNTIME_DIR': str(self._folder / 'run')},
            )
        if plugged:
            self.order('plug 0')

    def order(self, line: str) -> None:
        assert self.process and self.process.stdin
        print(line, file=self.process.stdin, flush=True)

    def listen(self, topic: Topic) -> list[Any]:
        received: list[Any] = []
        self.graph.node.subscribe(topic, received.append)
        return received

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        try:
            self.graph.wait_for(lambda: bool(condition()), what)
        except AssertionError as error:
            raise AssertionError(f'{error}\n{self.log}\n{self.statuses[-2:]}') from error

    def wait_for_status(self, level: bytes | None, text: str) -> None:
        """Wait for a status that comes from now on, of any level if None."""
        self.statuses.clear()
        self.wait_for(
            lambda: any(
                level in (None, status.level) and text in status.message
                for status in list(self.statuses)
            ),
            f'status {level!r} {text}',
        )

    def wait_for_frames(self, received: list[Any]) -> None:
        received.clear()
        self.wait_for(lambda: len(received) > 3, 'frames')

    def value(self, key: str) -> str:
        return next(value.value for value in self.statuses[-1].values if value.key == key)

    def end(self, number: int) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(20.0)

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ''

    @property
    def settings(self) -> dict[int, int]:
        """Return what the camera itself has."""
        memory = json.loads((self._folder / 'memory.json').read_text())
        return {int(number): value for number, value in memory.items()}

    def _keep(self, message: DiagnosticArray) -> None:
        self.statuses += [s for s in message.status if s.name.endswith(('/stream', '/settings'))]


@pytest.fixture
def camera(graph: Any, tmp_path: Path) -> Iterator[Camera]:
    (tmp_path / 'run').mkdir()
    camera = Camera(graph, tmp_path)
    yield camera
    if camera.process:
        camera.process.kill()
        camera.process.wait()
        assert camera.process.stdin
        camera.process.stdin.close()


def test_jpeg_is_passed_on_with_its_stamp_and_frame(camera: Camera) -> None:
    compressed = camera.listen(CAMERAS['wrist'].compressed)
    infos = camera.listen(CAMERAS['wrist'].info)
    camera.start()
    camera.wait_for(lambda: len(compressed) > 40 and len(infos) > 40, 'images')
    for message in compressed:
        assert message.format == 'rgb8; jpeg compressed bgr8'
        assert message.header.frame_id == 'wrist_camera_color_optical_frame'
        assert from_compressed(message).shape == (480, 640, 3)
    stamps = [to_nanoseconds(message.header.stamp) for message in compressed[-30:]]
    assert np.median(np.diff(stamps)) == pytest.approx(1e9 / 30, rel=0.1)
    assert {to_nanoseconds(info.header.stamp) for info in infos} & set(stamps)
    assert (infos[0].width, infos[0].height, set(infos[0].k)) == (640, 480, {0.0})
    camera.wait_for_status(OK, 'Hz')
    assert camera.statuses[-1].name == 'wrist_camera/stream'
    assert camera.value('format') == 'MJPG'
    assert float(camera.value('rate_hz')) == pytest.approx(30, rel=0.1)


def test_pixels_are_decoded_for_who_listens_and_intrinsics_come_from_a_file(
    camera: Camera, tmp_path: Path
) -> None:
    file = tmp_path / 'overhead.yaml'
    file.write_text(
        'image_width: 640\nimage_height: 480\ncamera_name: overhead\n'
        'camera_matrix: {rows: 3, cols: 3, data: [600, 0, 320, 0, 601, 240, 0, 0, 1]}\n'
        'distortion_model: plumb_bob\n'
        'distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0, 0, 0]}\n'
        'rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}\n'
        'projection_matrix: {rows: 3, cols: 4, data: [6, 0, 3, 0, 0, 6, 2, 0, 0, 0, 1, 0]}\n'
    )
    raw = camera.listen(CAMERAS['overhead'].image)
    infos = camera.listen(CAMERAS['overhead'].info)
    camera.start(camera='overhead', camera_info=file)
    camera.wait_for(lambda: len(raw) > 12 and infos, 'images')
    assert raw[0].header.frame_id == 'overhead_camera_optical_frame'
    levels = {int(from_message(message)[100, 100, 0]) for message in raw}
    assert len(levels) >= 9  # of ten grey levels, one after the other
    assert (infos[0].k[0], infos[0].d[1], infos[0].distortion_model) == (600, -0.2, 'plumb_bob')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_settings_are_restored_on_every_exit(camera: Camera, number: int) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(**FIXED)
    camera.wait_for_frames(frames)
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120
    assert camera.settings[v4l2.CID_WHITE_BALANCE_TEMPERATURE] == 4600
    assert camera.end(number) == 0
    assert camera.settings == DEFAULTS


def test_a_kill_leaves_a_note_and_the_next_start_restores_in_the_end(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(**FIXED)
    camera.wait_for_frames(frames)
    camera.end(signal.SIGKILL)
    assert camera.settings != DEFAULTS
    assert camera.process and camera.process.stdin
    camera.process.stdin.close()
    camera.start(plugged=False, **FIXED)
    camera.order('unplug')  # the nodes that the killed one left
    camera.order('plug 0')
    camera.wait_for_frames(frames)
    assert camera.end(signal.SIGTERM) == 0
    assert camera.settings == DEFAULTS


def test_the_controls_of_a_camera_of_another_program_are_held_and_restored(
    camera: Camera,
) -> None:
    camera.start(node='controls', **FIXED)
    camera.wait_for_status(OK, 'as asked')
    assert camera.statuses[-1].name == 'controls/settings'
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120
    camera.order('unplug')
    camera.wait_for_status(ERROR, 'not there')
    camera.order('plug 2')
    camera.wait_for_status(OK, 'as asked')
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120
    assert camera.end(signal.SIGTERM) == 0
    assert camera.settings == DEFAULTS


def test_a_video_is_published_and_the_node_ends_with_it(camera: Camera, tmp_path: Path) -> None:
    file = tmp_path / 'film.mp4'
    with av.open(str(file), 'w') as container:
        stream = container.add_stream('libx264', 30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, 'yuv420p'
        for level in [0, 200] * 90:
            picture = np.full((480, 640, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())
    frames = camera.listen(CAMERAS['overhead'].compressed)
    camera.start(camera='overhead', source='video', device=file, loop=False)
    camera.wait_for(lambda: len(frames) > 30, 'frames')
    levels = {round(float(from_compressed(message).mean()), -1) for message in frames}
    assert levels == {0, 200}
    assert camera.process and camera.process.wait(20.0) == 0


def test_an_unplugged_camera_is_found_again_under_another_name(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(device='A1B2C3D4', **FIXED)
    camera.wait_for_frames(frames)
    camera.order('unplug')
    camera.wait_for_status(ERROR, 'camera A1B2C3D4 is not there')
    camera.wait_for_status(ERROR, 'camera A1B2C3D4 is not there')
    camera.order('plug 6')
    camera.wait_for_frames(frames)
    camera.wait_for_status(OK, 'Hz')
    assert camera.value('device').count('video6')
    assert camera.value('reconnects') == '1'
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120
    assert camera.log.count('is not there') == 1  # said once, not at every attempt


def test_a_camera_may_come_after_its_node(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(plugged=False)
    camera.wait_for_status(ERROR, 'there is no camera at all')
    camera.order('plug 2')
    camera.wait_for_frames(frames)
    camera.wait_for_status(OK, 'Hz')
    assert camera.value('reconnects') == '0'


def test_half_the_rate_is_told(camera: Camera) -> None:
    camera.start()
    camera.wait_for_status(OK, 'Hz')
    camera.order('change rate 15')
    camera.wait_for_status(WARN, '15.0 Hz of 30')


def test_a_silent_camera_is_told_and_opened_anew(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start()
    camera.wait_for_frames(frames)
    camera.order('change silent 1')
    camera.wait_for_status(ERROR, 'no frame for')
    camera.wait_for(lambda: 'opened anew' in camera.log, 'another opening')
    camera.order('change silent 0')
    camera.wait_for_frames(frames)
    camera.wait_for_status(OK, 'Hz')


def test_another_size_is_an_error_and_never_published(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    raw = camera.listen(CAMERAS['wrist'].image)
    camera.start(plugged=False)
    camera.order('change size 424x240')
    camera.order('change version 2.10')
    camera.order('show small')
    camera.order('plug 0')
    camera.wait_for_status(ERROR, '424x240, not 640x480')
    camera.wait_for(lambda: 'USB 3 port and cable' in camera.log, 'the cure')
    assert not frames and not raw
    camera.order('unplug')
    camera.order('change size 640x480')
    camera.order('show light')
    camera.order('plug 0')
    camera.wait_for_frames(frames)


def test_frames_of_another_size_than_the_format_says_are_not_published(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(plugged=False)
    camera.order('show small')
    camera.order('plug 0')
    camera.wait_for_status(ERROR, 'damaged ones (a JPEG of 424x240, not 640x480)')
    assert not frames


def test_truncated_frames_are_counted_and_not_published(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start()
    camera.wait_for_frames(frames)
    camera.order('show truncated')
    camera.wait_for_status(None, 'damaged ones (a JPEG cut off after 2000 bytes)')
    assert int(camera.value('damaged')) > 0
    assert all(from_compressed(message).shape == (480, 640, 3) for message in frames)
    camera.order('show light')
    camera.wait_for_frames(frames)


@pytest.mark.parametrize('shown', ['black', 'frozen'])
def test_black_and_frozen_pictures_are_published_as_they_come(camera: Camera, shown: str) -> None:
    """What a picture shows is judged for any source, by the image health."""
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(plugged=False)
    camera.order(f'show {shown}')
    camera.order('plug 0')
    camera.wait_for_frames(frames)
    camera.wait_for_status(OK, 'Hz')
    assert len({bytes(message.data) for message in frames}) == 1


def test_a_driver_that_never_answers_is_told_and_does_not_hold_up_the_end(camera: Camera) -> None:
    frames = camera.listen(CAMERAS['wrist'].compressed)
    camera.start(**FIXED)
    camera.wait_for_frames(frames)
    camera.order('change hung 1')
    camera.wait_for_status(ERROR, "the camera's driver has not answered for")
    assert camera.end(signal.SIGTERM) == 1
    assert 'its former settings are restored at the next start' in camera.log
    assert list((camera._folder / 'run' / 'so101').glob('camera-*.json'))


@pytest.mark.parametrize(
    ('parameters', 'reason'),
    [
        ({'exposure': 100}, 'parameter exposure: 100; this camera takes 300 to 204700'),
        ({'camera_info': '/nowhere.yaml'}, 'camera_info /nowhere.yaml'),
        ({'camera': 'left'}, "parameter camera: 'left' is none of wrist, overhead"),
        ({'width': 8}, 'parameter width: 8 is too small'),
        ({'source': 'video'}, "device '': give a video file, or the folder of a LeRobot dataset"),
    ],
)
def test_what_a_person_must_change_ends_the_node(
    camera: Camera, parameters: dict[str, Any], reason: str
) -> None:
    camera.start(**parameters)
    assert camera.process and camera.process.wait(20.0) == 1
    assert reason in camera.log
    assert 'Traceback' not in camera.log
