"""A RealSense's frames and settings, by librealsense's own software device.

Unlike a camera it is not on USB: whoever tests says what it states of itself.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from so101_cameras.sources.source import Settings, SourceError
from so101_node.error import UserError

rs = pytest.importorskip('pyrealsense2')
from so101_cameras.sources.realsense import RealSenseSource  # noqa: E402

RANGES = {
    'exposure': (1, 165_000, 1, 33_000),
    'gain': (16, 248, 1, 16),
    'enable_auto_exposure': (0, 1, 1, 1),
    'white_balance': (2800, 6500, 10, 4600),
    'enable_auto_white_balance': (0, 1, 1, 1),
}
DEFAULTS = {name: default for name, (_, _, _, default) in RANGES.items()}


class SoftwareD405:
    """A software device with a D405's colour stream, options and name."""

    def __init__(
        self,
        serial: str = '123456',
        usb: str = '3.2',
        size: tuple[int, int] = (640, 480),
        sensor: str = 'Stereo Module',
    ) -> None:
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, 'Intel RealSense D405')
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.device.register_info(rs.camera_info.usb_type_descriptor, usb)
        self.sensor = self.device.add_sensor(sensor)
        self._size = size
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid = rs.stream.color, 0, 0
        stream.width, stream.height = size
        stream.fps, stream.bpp, stream.fmt = 30, 3, rs.format.rgb8
        intrinsics = rs.intrinsics()
        intrinsics.width, intrinsics.height = size
        intrinsics.fx, intrinsics.fy, intrinsics.ppx, intrinsics.ppy = 430.5, 431, 319.5, 240
        intrinsics.model = rs.distortion.inverse_brown_conrady
        intrinsics.coeffs = [-0.05, 0.06, 0, 0, -0.02]
        stream.intrinsics = intrinsics
        self._profile = self.sensor.add_video_stream(stream, True)
        for name, (low, high, step, default) in RANGES.items():
            range_ = rs.option_range()
            range_.min, range_.max, range_.step, range_.default = low, high, step, default
            self.sensor.add_option(getattr(rs.option, name), range_, True)
        self._number = 0

    @property
    def settings(self) -> dict[str, float]:
        return {name: self.sensor.get_option(getattr(rs.option, name)) for name in RANGES}

    def show(self, level: int, stamp: float, domain: Any = None) -> None:
        """Deliver a grey frame, its stamp in seconds."""
        self._number += 1
        frame = rs.software_video_frame()
        frame.pixels = np.full((self._size[1], self._size[0], 3), level, np.uint8)
        frame.stride, frame.bpp = 3 * self._size[0], 3
        frame.timestamp, frame.frame_number = stamp * 1e3, self._number
        frame.domain = domain or rs.timestamp_domain.global_time
        frame.profile = self._profile.as_video_stream_profile()
        self.sensor.on_video_frame(frame)


Make = Callable[..., RealSenseSource]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Make]:
    made: list[RealSenseSource] = []

    def make(*cameras: SoftwareD405, device: str = '', settings: Any = None) -> RealSenseSource:
        devices = [camera.device for camera in cameras]
        made.append(
            RealSenseSource(
                device, 640, 480, 30.0, settings, devices=lambda: devices, folder=tmp_path
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_frames_stamps_and_intrinsics_are_the_cameras_own(source: Make) -> None:
    camera = SoftwareD405()
    opened = source(camera)
    delivery = opened.open()
    assert delivery.device == 'Intel RealSense D405, serial number 123456'
    assert (delivery.link, delivery.rate, delivery.warnings) == ('USB 3.2', 30.0, ())
    assert delivery.intrinsics
    assert delivery.intrinsics.k == pytest.approx((430.5, 0, 319.5, 0, 431, 240, 0, 0, 1))
    assert delivery.intrinsics.d == pytest.approx((-0.05, 0.06, 0, 0, -0.02))
    stamp = time.time() - 0.02
    camera.show(70, stamp)
    frame = opened.read(1.0)
    assert isinstance(frame.image, np.ndarray)
    assert frame.image.shape == (480, 640, 3) and set(frame.image.flat) == {70}
    assert frame.captured == pytest.approx(stamp * 1e9, abs=1e5)
    assert frame.number == 1


def test_a_frame_is_the_newest_and_stays_as_it_is(source: Make) -> None:
    camera = SoftwareD405()
    opened = source(camera)
    opened.open()
    for level in (10, 20, 30):
        camera.show(level, time.time())
    first = opened.read(1.0)
    assert isinstance(first.image, np.ndarray) and first.image[0, 0, 0] == 30
    assert first.number == 3
    for level in (40, 50, 60):
        camera.show(level, time.time())
        opened.read(1.0)
    assert set(first.image.flat) == {30}


def test_stamps_of_another_clock_are_not_taken_for_system_time(source: Make) -> None:
    camera = SoftwareD405()
    opened = source(camera)
    opened.open()
    for stamp, domain in (
        (12.0, rs.timestamp_domain.hardware_clock),
        (12.0, rs.timestamp_domain.global_time),
        (time.time() + 100, rs.timestamp_domain.global_time),
    ):
        before = time.time_ns()
        camera.show(1, stamp, domain)
        assert before <= opened.read(1.0).captured <= time.time_ns()


def test_a_read_ends_when_its_time_is_over(source: Make) -> None:
    opened = source(SoftwareD405())
    opened.open()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        opened.read(0.1)
    assert 0.09 < time.monotonic() - start < 2.0


def test_settings_are_fixed_and_restored(source: Make, tmp_path: Path) -> None:
    camera = SoftwareD405()
    opened = source(camera, settings=Settings(exposure=8000, gain=32, white_balance=4004))
    assert opened.open().warnings == ()
    assert camera.settings == {
        'exposure': 8000,
        'gain': 32,
        'enable_auto_exposure': 0,
        'white_balance': 4000,
        'enable_auto_white_balance': 0,
    }
    assert list(tmp_path.glob('camera-realsense-123456.json'))
    opened.close()
    assert camera.settings == DEFAULTS
    assert not list(tmp_path.glob('*.json'))


def test_what_a_killed_program_left_is_not_taken_for_the_former_settings(source: Make) -> None:
    camera = SoftwareD405()
    source(camera, settings=Settings(exposure=8000)).open()  # never closed
    camera.sensor.stop()
    camera.sensor.close()
    second = source(camera)
    second.open()
    assert camera.settings['enable_auto_exposure'] == 1
    second.close()
    assert camera.settings == DEFAULTS


def test_a_colour_sensor_counts_exposure_in_100_us(source: Make) -> None:
    camera = SoftwareD405(sensor='RGB Camera')
    source(camera, settings=Settings(exposure=8000)).open()
    assert camera.settings['exposure'] == 80


@pytest.mark.parametrize(
    ('settings', 'reason'),
    [
        (Settings(exposure=200_000), 'exposure: 200000; this camera takes 1 to 165000'),
        (Settings(gain=8), 'gain: 8; this camera takes 16 to 248'),
        (Settings(focus=0), 'focus: 0, but a RealSense has none'),
    ],
)
def test_what_it_cannot_be_set_to_is_refused(
    source: Make, settings: Settings, reason: str
) -> None:
    camera = SoftwareD405()
    with pytest.raises(UserError, match=reason):
        source(camera, settings=settings).open()
    assert camera.settings == DEFAULTS


def test_usb_2_and_the_sizes_it_leaves_are_told(source: Make) -> None:
    with pytest.raises(
        SourceError,
        match=r'no 640x480 at 30 Hz; it has 424x240 at 30 Hz; .* use a USB 3 port and cable',
    ):
        source(SoftwareD405(usb='2.1', size=(424, 240))).open()
    assert 'USB 3 port and cable' in source(SoftwareD405(usb='2.1')).open().warnings[0]


def test_a_camera_is_found_by_its_serial_number(source: Make) -> None:
    one, other = SoftwareD405('1111'), SoftwareD405('2222')
    with pytest.raises(UserError, match=r'several RealSenses; .*: 1111, 2222'):
        source(one, other).open()
    assert source(one, other, device='2222').open().device.endswith('2222')
    with pytest.raises(SourceError, match=r'RealSense 3333 is not there: .* is 1111, 2222'):
        source(one, other, device='3333').open()
    with pytest.raises(SourceError, match='is none'):
        source().open()


def test_without_pyrealsense2_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pyrealsense2', None)
    with pytest.raises(UserError, match='needs pyrealsense2: pip install pyrealsense2'):
        RealSenseSource('', 640, 480, 30.0)
