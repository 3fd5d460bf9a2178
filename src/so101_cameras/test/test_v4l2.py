"""A V4L2 camera's frames and settings, by a kernel that answers as the real one does."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.image import to_rgb8
from so101_cameras.sources import videodev2 as v4l2
from so101_cameras.sources.source import DamagedFrame, Settings, SourceError
from so101_cameras.sources.v4l2 import V4l2Source
from so101_node.error import UserError

Make = Callable[..., V4l2Source]

FIXED = Settings(exposure=12_000, gain=20, white_balance=4600, focus=30)


@pytest.fixture
def source(kernel: EmulatedKernel, tmp_path: Path) -> Iterator[Make]:
    made: list[V4l2Source] = []

    def make(settings: Settings | None = None, device: str = '', **more: Any) -> V4l2Source:
        size = {'width': 640, 'height': 480, 'rate': 30.0} | more
        made.append(
            V4l2Source(device, settings=settings, kernel=kernel, folder=tmp_path / 'run', **size)
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def noted(tmp_path: Path) -> list[Path]:
    return list((tmp_path / 'run').glob('*.json'))


def test_jpeg_frames_come_as_the_camera_made_them(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    path = kernel.plug(camera)
    opened = source()
    delivery = opened.open()
    assert (delivery.width, delivery.height, delivery.encoding) == (640, 480, 'MJPG')
    assert (delivery.rate, delivery.link) == (100.0, 'USB at 480 Mbit/s')
    assert str(path) in delivery.device and 'A1B2C3D4' in delivery.device
    assert not delivery.warnings
    for _ in range(20):
        frame = opened.read(1.0)
        assert frame.image == camera.frames[frame.number % 10]


def test_a_stamp_is_the_capture_in_system_time(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    kernel.plug(camera)
    opened = source()
    before = time.time_ns()
    opened.open()
    first, second = opened.read(1.0), opened.read(1.0)
    assert before < first.captured < second.captured < time.time_ns()
    period = (second.captured - first.captured) / (second.number - first.number)
    assert period == pytest.approx(10e6, abs=1e6)  # as the camera made them, not as they came


def test_a_stamp_of_another_clock_is_not_taken_for_system_time(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.clock = False
    kernel.plug(camera)
    opened = source()
    opened.open()
    before = time.time_ns()
    assert before < opened.read(1.0).captured <= time.time_ns()


def test_the_newest_frame_is_taken_and_the_others_are_accounted_for(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    kernel.plug(camera)
    opened = source()
    opened.open()
    before = opened.read(1.0)
    time.sleep(0.2)  # twenty frames: four wait in buffers, the others found none
    after, next_ = opened.read(1.0), opened.read(1.0)
    assert after.skipped == 3
    assert after.number == before.number + 4
    assert next_.number > after.number + 10


def test_a_read_ends_when_its_time_is_over(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    kernel.plug(camera)
    opened = source()
    opened.open()
    opened.read(1.0)
    kernel.change(camera, silent=True)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        while True:
            opened.read(0.2)
    assert 0.2 <= time.monotonic() - start < 2.0


def test_damaged_frames_are_told_with_their_numbers(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    kernel.plug(camera)
    opened = source()
    opened.open()
    sound = camera.frames
    kernel.change(camera, frames=[frame[:1000] for frame in sound])
    with pytest.raises(DamagedFrame, match='cut off after 1000 bytes') as cut:
        while True:
            opened.read(1.0)
    kernel.change(camera, frames=sound, damaged=True)
    with pytest.raises(DamagedFrame, match='marked as damaged') as marked:
        for _ in range(100):
            try:
                opened.read(1.0)
            except DamagedFrame as error:
                if 'cut off' not in str(error):
                    raise
    assert marked.value.number > cut.value.number
    kernel.change(camera, damaged=False)


def test_a_camera_without_jpeg_is_read_in_pixels(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    raw = np.random.default_rng(0).integers(0, 255, 480 * 640 * 2, np.uint8).tobytes()
    camera.formats, camera.frames = ('H264', 'YUYV'), [raw]
    kernel.plug(camera)
    opened = source()
    assert opened.open().encoding == 'YUYV'
    pixels = opened.read(1.0).image
    assert np.array_equal(pixels, to_rgb8(raw, 'yuv422_yuy2', 640, 480, 1280))
    kernel.change(camera, frames=[raw[:-2]])
    with pytest.raises(DamagedFrame, match='614398 bytes'):
        while True:
            opened.read(1.0)


@pytest.mark.parametrize(
    ('version', 'cure'),
    [('2.00', ''), ('2.10', '; a USB 3 camera on USB 2: use a USB 3 port and cable')],
)
def test_another_size_than_asked_is_refused_and_says_why(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make, version: str, cure: str
) -> None:
    camera.sizes = [(424, 240), (320, 180)]
    camera.version = version
    kernel.plug(camera)
    with pytest.raises(
        SourceError, match=rf'424x240, not 640x480; it has 424x240, 320x180{cure}$'
    ):
        source().open()


def test_a_fall_back_to_usb_2_is_a_warning_where_the_size_is_right(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.version = '2.10'
    kernel.plug(camera)
    assert source().open().warnings == ('a USB 3 camera on USB 2: use a USB 3 port and cable',)


def test_a_camera_of_formats_that_cannot_be_read_is_refused(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.formats = ('H264', 'Z16 ')
    kernel.plug(camera)
    with pytest.raises(UserError, match='gives H264, Z16 , none of MJPG'):
        source().open()


def test_one_in_use_is_left_alone(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.busy = True
    kernel.plug(camera)
    before = dict(camera.settings)
    with pytest.raises(SourceError, match=r'in use by another program; `fuser -v .*video0`'):
        source(FIXED).open()
    assert camera.settings == before


def test_an_unplugged_one_is_found_under_its_new_name(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    opened = source(FIXED, device=str(kernel.plug(camera)))
    opened.open()
    opened.read(1.0)
    kernel.unplug(camera)
    with pytest.raises(SourceError, match='gone'):
        while True:
            opened.read(1.0)
    opened.close()
    with pytest.raises(SourceError, match='not there'):
        opened.open()
    other = EmulatedCamera(camera.frames, serial='OTHER', port='1-3')
    kernel.plug(other, 0)  # another one has its node now
    path = kernel.plug(camera, 2)
    assert str(path) in opened.open().device
    opened.read(1.0)
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120


def test_one_that_shares_its_serial_number_is_found_again_at_its_port(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make, tmp_path: Path
) -> None:
    twin = EmulatedCamera(camera.frames, port='1-3')
    kernel.plug(twin, 2)
    opened = source(FIXED, device=str(kernel.plug(camera)))
    opened.open()
    other = source(device='1-3')
    other.open()
    assert len(noted(tmp_path)) == 2  # each has its own former settings
    kernel.unplug(camera)
    opened.close()
    path = kernel.plug(camera, 4)
    assert str(path) in opened.open().device
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120


def test_a_loopback_is_waited_for_until_it_is_fed(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.fed = False
    kernel.plug(camera)
    opened = source()
    with pytest.raises(SourceError, match=r'no pictures now.*feeder'):
        opened.open()
    camera.fed = True
    opened.open()
    assert opened.read(1.0).image in camera.frames


@pytest.mark.parametrize('forgetful', [False, True])
def test_settings_are_fixed_and_restored(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make, tmp_path: Path, forgetful: bool
) -> None:
    before = dict(camera.settings)
    camera.forgetful = forgetful
    kernel.plug(camera)
    opened = source(FIXED)
    assert not opened.open().warnings
    assert camera.settings == {
        v4l2.CID_EXPOSURE_AUTO: v4l2.EXPOSURE_MANUAL,
        v4l2.CID_EXPOSURE_ABSOLUTE: 120,
        v4l2.CID_EXPOSURE_AUTO_PRIORITY: 0,
        v4l2.CID_GAIN: 20,
        v4l2.CID_AUTO_WHITE_BALANCE: 0,
        v4l2.CID_WHITE_BALANCE_TEMPERATURE: 4600,
        v4l2.CID_FOCUS_AUTO: 0,
        v4l2.CID_FOCUS_ABSOLUTE: 30,
    }
    assert noted(tmp_path)
    opened.close()
    assert camera.settings == before
    assert not noted(tmp_path)


@pytest.mark.parametrize(('refusals', 'restored'), [(12, True), (99, False)])
def test_what_fails_to_be_restored_is_tried_again_and_stays_noted(
    kernel: EmulatedKernel,
    camera: EmulatedCamera,
    source: Make,
    tmp_path: Path,
    refusals: int,
    restored: bool,
) -> None:
    before = dict(camera.settings)
    kernel.plug(camera)
    opened = source(FIXED)
    opened.open()
    camera.refusals = refusals  # twelve: of the first attempt all but one
    opened.close()
    assert (camera.settings == before, bool(noted(tmp_path))) == (restored, not restored)
    camera.refusals = 0
    opened.open()
    opened.close()
    assert camera.settings == before


def test_settings_by_hand_are_restored_after_automatic_ones(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    for number, value in (
        (v4l2.CID_EXPOSURE_AUTO, v4l2.EXPOSURE_MANUAL),
        (v4l2.CID_EXPOSURE_ABSOLUTE, 77),
        (v4l2.CID_AUTO_WHITE_BALANCE, 0),
        (v4l2.CID_WHITE_BALANCE_TEMPERATURE, 3100),
    ):
        camera.set(number, value)
    before = dict(camera.settings)
    kernel.plug(camera)
    opened = source()
    opened.open()
    assert camera.settings[v4l2.CID_EXPOSURE_AUTO] == v4l2.EXPOSURE_APERTURE_PRIORITY
    camera.set(v4l2.CID_EXPOSURE_ABSOLUTE, 900)  # as its automatic does
    opened.close()
    assert camera.settings == before


def test_what_a_killed_program_left_is_not_taken_for_the_former_settings(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    before = dict(camera.settings)
    kernel.plug(camera)
    source(FIXED).open()  # never closed
    second = source(Settings(exposure=5000))
    second.open()
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 50
    second.close()
    assert camera.settings == before


def test_former_settings_outlive_unplugging(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make, tmp_path: Path
) -> None:
    camera.set(v4l2.CID_GAIN, 99)
    kernel.plug(camera)
    opened = source(FIXED)
    opened.open()
    kernel.unplug(camera)
    opened.close()
    assert noted(tmp_path)
    kernel.plug(camera)
    opened.open()
    opened.close()
    assert camera.settings[v4l2.CID_GAIN] == 99
    assert not noted(tmp_path)


def test_automatic_exposure_does_not_halve_the_rate_in_the_dark(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make
) -> None:
    camera.dark = True
    kernel.plug(camera)
    assert camera.frame_seconds == pytest.approx(0.02)
    source().open()
    assert camera.frame_seconds == pytest.approx(0.01)


@pytest.mark.parametrize(
    ('settings', 'reason'),
    [
        (Settings(exposure=200), 'exposure: 200; this camera takes 300 to 204700'),
        (Settings(white_balance=9000), 'white_balance: 9000; this camera takes 2000 to 6500'),
        (Settings(gain=256), 'gain: 256; this camera takes 0 to 255'),
        (Settings(focus=251), 'focus: 251; this camera takes 0 to 250'),
    ],
)
def test_a_value_out_of_range_is_refused_and_nothing_is_left_changed(
    kernel: EmulatedKernel, camera: EmulatedCamera, source: Make, settings: Settings, reason: str
) -> None:
    before = dict(camera.settings)
    kernel.plug(camera)
    with pytest.raises(UserError, match=reason):
        source(settings).open()
    assert camera.settings == before


def test_a_camera_without_the_control_is_named(
    kernel: EmulatedKernel,
    camera: EmulatedCamera,
    source: Make,
) -> None:
    del kernel.answers[v4l2.QUERYCTRL]
    kernel.plug(camera)
    opened = source()
    opened.open()
    opened.read(1.0)
    opened.close()
    with pytest.raises(UserError, match='exposure: 12000, but this camera has no exposure_time'):
        source(FIXED).open()
