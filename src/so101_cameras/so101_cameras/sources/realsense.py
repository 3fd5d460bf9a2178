"""The colour of an Intel RealSense, by pyrealsense2 (librealsense).

By its sensor and a queue, not by a pipeline: nothing but colour is streamed, and a queue of one
always holds the newest frame.
"""

import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from so101_cameras.intrinsics import Intrinsics
from so101_cameras.sources.former_values import FormerValues
from so101_cameras.sources.realsense_options import Options
from so101_cameras.sources.source import (
    FALLEN_BACK,
    Delivery,
    Frame,
    Settings,
    SourceError,
    capture_time,
)
from so101_node.error import UserError


class RealSenseSource:
    """Frames of one camera; see Source for what the methods promise.

    librealsense says RuntimeError whatever is wrong: an absent camera, a late frame, a bad value.
    """

    def __init__(
        self,
        device: str,
        width: int,
        height: int,
        rate: float,
        settings: Settings | None = None,
        *,
        devices: Callable[[], Iterable[Any]] | None = None,
        folder: Path | None = None,
    ) -> None:
        """`device` is a serial number, or '' for the only one; `rate` in hertz.

        `devices` returns the RealSenses that there are, by default those of this machine. `folder`
        is where former settings are noted; the runtime folder if None. Raises UserError when
        pyrealsense2 is not installed.
        """
        try:
            self._rs = import_module('pyrealsense2')
        except ImportError as error:
            raise UserError(
                f'source realsense needs pyrealsense2: pip install pyrealsense2 ({error})'
            ) from error
        self._device = device
        self._width, self._height = width, height
        self._rate = rate
        self._settings = settings or Settings()
        self._devices = devices or self._rs.context().query_devices
        self._folder = folder
        self._camera: Any = None  # while it is open
        self._sensor: Any = None
        self._queue: Any = None
        self._options: Options | None = None
        self._former: FormerValues | None = None

    def open(self) -> Delivery:
        try:
            self._camera = self._find()
            delivery = self._start()
        except RuntimeError as error:
            self.close()
            raise SourceError(f'RealSense {self._device}: {error}: plug it in again') from error
        except (SourceError, UserError):
            self.close()
            raise
        return delivery

    def read(self, timeout: float) -> Frame:
        try:
            frame = self._queue.wait_for_frame(max(1, round(timeout * 1e3))).as_video_frame()
        except RuntimeError as error:
            if not self._camera.is_connected():
                raise SourceError('the RealSense is gone: plug it in') from error
            raise TimeoutError from error
        if (frame.get_width(), frame.get_height()) != (self._width, self._height):
            raise SourceError(
                f'the RealSense delivers {frame.get_width()}x{frame.get_height()}, not '
                f'{self._width}x{self._height}: plug it in again'
            )
        # A copy, for librealsense writes the next frame into this one's memory.
        pixels = np.array(frame.get_data(), np.uint8)
        return Frame(pixels, self._captured(frame), frame.get_frame_number())

    def close(self) -> None:
        sensor, options, former = self._sensor, self._options, self._former
        self._camera = self._sensor = self._queue = self._options = self._former = None
        if sensor is None:
            return
        try:
            if options and former:
                options.restore(former.load())
                former.forget()
            sensor.stop()
            sensor.close()
        except RuntimeError:
            pass  # it is gone: its former settings stay noted until it is back

    def _find(self) -> Any:
        """Return the camera that is meant."""
        rs = self._rs
        there = {
            camera.get_info(rs.camera_info.serial_number): camera
            for camera in self._devices()
            if camera.supports(rs.camera_info.serial_number)
        }
        if not self._device and len(there) > 1:
            raise UserError(
                f'device may mean several RealSenses; give the serial number of one: '
                f'{", ".join(there)}'
            )
        serial = self._device or next(iter(there), '')
        if serial not in there:
            raise SourceError(
                f'RealSense {serial or "(any)"} is not there: plug it in, or correct '
                f'device; there is {", ".join(there) or "none"}'
            )
        self._device = serial
        return there[serial]

    def _start(self) -> Delivery:
        rs, camera = self._rs, self._camera
        usb = _said(camera, rs.camera_info.usb_type_descriptor)
        warnings = [FALLEN_BACK] if usb.startswith('2') else []
        sensor, profile = self._profile(warnings)
        sensor.open(profile)
        self._sensor = sensor
        options = Options(rs, sensor, _said(sensor, rs.camera_info.name))
        former = FormerValues(f'realsense-{self._device}', self._folder)
        former.keep(former.load() or options.read())
        self._options, self._former = options, former
        options.apply(self._settings)
        self._queue = rs.frame_queue(1)
        sensor.start(self._queue)
        warnings += options.apply(self._settings)
        found = profile.get_intrinsics()
        return Delivery(
            f'{_said(camera, rs.camera_info.name)}, serial number {self._device}',
            f'USB {usb}' if usb else 'unknown link',
            self._width,
            self._height,
            float(profile.fps()),
            'RGB8',
            tuple(warnings),
            Intrinsics(
                found.width, found.height, 'plumb_bob', tuple(found.coeffs),
                (found.fx, 0.0, found.ppx, 0.0, found.fy, found.ppy, 0.0, 0.0, 1.0),
                (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
                (found.fx, 0.0, found.ppx, 0.0, 0.0, found.fy, found.ppy, 0.0, 0.0, 0.0, 1.0, 0.0),
            ),
        )  # fmt: skip

    def _profile(self, warnings: list[str]) -> tuple[Any, Any]:
        """Return the sensor of colour and its stream that is asked for."""
        rs = self._rs
        sizes: dict[str, None] = {}
        for sensor in self._camera.query_sensors():
            for profile in sensor.get_stream_profiles():
                if profile.stream_type() != rs.stream.color or profile.format() != rs.format.rgb8:
                    continue
                video = profile.as_video_stream_profile()
                offered = video.width(), video.height(), video.fps()
                if offered == (self._width, self._height, round(self._rate)):
                    return sensor, video
                sizes['{}x{} at {} Hz'.format(*offered)] = None
        raise SourceError(
            f'RealSense {self._device} delivers no {self._width}x{self._height} at '
            f'{self._rate:g} Hz; it has {", ".join(sizes) or "no colour"}'
            + ''.join(f'; {warning}' for warning in warnings)
        )

    def _captured(self, frame: Any) -> int:
        """Return when it was captured, in nanoseconds of system time.

        librealsense brings the camera's own clock to system time, unless it was told not to.
        """
        now = time.time_ns()
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.hardware_clock:
            return now
        return capture_time(round(frame.get_timestamp() * 1e6), now)


def _said(thing: Any, info: Any) -> str:
    """Return what a camera or sensor says of itself, '' when it says nothing."""
    return thing.get_info(info) if thing.supports(info) else ''
