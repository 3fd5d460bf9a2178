"""A camera by Video4Linux: a webcam on USB, and any other with a /dev/video node (Linux).

By the kernel's own calls. OpenCV's capture waits ten seconds for a frame, hides the frame numbers
by which a lost frame is seen and the mark of a damaged one, and has no name for the setting that
lets a Logitech C920 fall to 15 Hz in the dark; FFmpeg's has no settings at all.
"""

import contextlib
import errno
import mmap
import struct
import time
from pathlib import Path
from typing import Any

from so101_cameras import image
from so101_cameras.sources import jpeg
from so101_cameras.sources import videodev2 as v4l2
from so101_cameras.sources.held_controls import HeldControls
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import (
    FALLEN_BACK,
    DamagedFrame,
    Delivery,
    Frame,
    Settings,
    SourceError,
    capture_time,
)
from so101_cameras.sources.video_nodes import VideoNode, find, lasting_name, video_nodes
from so101_node.error import UserError

# What is taken of a camera that has several formats, the best first, and what sensor_msgs calls
# it. JPEG is passed on as it is, and two cameras of it fit on one USB 2 hub.
FORMATS = {
    'MJPG': 'jpeg',
    'JPEG': 'jpeg',
    'YUYV': 'yuv422_yuy2',
    'UYVY': 'yuv422',
    'NV12': 'nv12',
    'RGB3': 'rgb8',
    'BGR3': 'bgr8',
    'GREY': 'mono8',
}

# One is being filled, one is read; the others wait while the program is held up.
BUFFERS = 4


class V4l2Source:
    """Frames of one camera; see Source for what the methods promise."""

    def __init__(
        self,
        device: str,
        width: int,
        height: int,
        rate: float,
        settings: Settings | None = None,
        *,
        kernel: Kernel | None = None,
        folder: Path | None = None,
    ) -> None:
        """`device` is a serial number, a USB port ('1-2'), a path, or '' for the only camera.

        `rate` in hertz. `folder` is where former settings are noted; the runtime folder if None.
        """
        self._device = device
        self._width, self._height = width, height
        self._rate = rate
        self._settings = settings or Settings()
        self._kernel = kernel or Kernel()
        self._folder = folder
        self._fd = -1
        self._maps: list[mmap.mmap] = []
        self._encoding = ''
        self._step = 0
        self._held: HeldControls | None = None

    def open(self) -> Delivery:
        kernel = self._kernel
        nodes = video_nodes(kernel.sysfs, kernel.devices)
        node = find(self._device, nodes)
        name = lasting_name(node, nodes)
        try:
            self._fd = kernel.open(node.path)
            delivery = self._start(node, name)
        except OSError as error:
            self.close()
            raise SourceError(_refusal(node, error)) from error
        except (SourceError, UserError):
            self.close()
            raise
        if self._device in ('', str(node.path)):
            self._device = name
        return delivery

    def read(self, timeout: float) -> Frame:
        deadline = time.monotonic() + timeout
        try:
            while self._kernel.wait(self._fd, max(0.0, deadline - time.monotonic())):
                if (frame := self._newest()) is not None:
                    return frame
        except OSError as error:
            raise SourceError(f'the camera is gone ({error.strerror}): plug it in') from error
        raise TimeoutError

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            if self._held:
                self._held.release()
            self._kernel.ioctl(fd, v4l2.STREAMOFF, _BUFFER_TYPE[:])
        except OSError:
            pass  # it is gone: its former settings stay noted until it is back
        finally:
            self._held = None
            for buffer in self._maps:
                buffer.close()
            self._maps.clear()
            self._kernel.close(fd)

    def _start(self, node: VideoNode, name: str) -> Delivery:
        _, _, _, _, all_nodes, this_node = self._ask(
            v4l2.QUERYCAP, v4l2.CAPABILITY, b'', b'', b'', 0, 0, 0
        )
        abilities = this_node if all_nodes & v4l2.CAP_DEVICE_CAPS else all_nodes
        if not abilities & v4l2.CAP_VIDEO_CAPTURE or not abilities & v4l2.CAP_STREAMING:
            # A video loopback is none while no program feeds it.
            raise SourceError(
                f'{node} streams no pictures now: give a camera, or start its feeder'
            )
        code = self._choose_format(node)
        rate = self._choose_rate()
        self._take_buffers()
        # From here on the camera is ours, and its settings are nobody else's.
        self._held = HeldControls(self._kernel, self._fd, name, self._settings, self._folder)
        self._held.apply()
        self._kernel.ioctl(self._fd, v4l2.STREAMON, _BUFFER_TYPE[:])
        differing = self._held.apply()  # some forget them when the stream starts
        return Delivery(
            str(node),
            f'USB at {node.speed:g} Mbit/s' if node.speed else 'not on USB',
            self._width,
            self._height,
            rate,
            code,
            (*differing, *[FALLEN_BACK] * node.held_back),
        )

    def _choose_format(self, node: VideoNode) -> str:
        """Have the camera deliver the size that is asked for, in the best format that it has."""
        offered = self._formats()
        made = ''
        for code in (code for code in FORMATS if code in offered):
            answer = self._ask(
                v4l2.S_FMT, v4l2.FORMAT, v4l2.BUF_TYPE_VIDEO_CAPTURE,
                self._width, self._height, v4l2.fourcc(code), v4l2.FIELD_ANY, 0, 0, 0,
            )  # fmt: skip
            _, width, height, number, _, self._step, _, _ = answer
            if (width, height, v4l2.code(number)) == (self._width, self._height, code):
                self._encoding = FORMATS[code]
                return code
            made = made or f'{width}x{height}'
        if not made:
            raise UserError(
                f'{node} gives {", ".join(offered) or "nothing"}, none of {", ".join(FORMATS)}'
            )
        cure = f'; {FALLEN_BACK}' * node.held_back
        raise SourceError(
            f'{node} delivers {made}, not {self._width}x{self._height}; it has '
            f'{", ".join(self._sizes(offered)) or "no other size"}{cure}'
        )

    def _choose_rate(self) -> float:
        """Ask for the rate; return the one that the camera will keep, 0 when it does not say."""
        try:
            *_, numerator, denominator = self._ask(
                v4l2.S_PARM, v4l2.STREAM_PARAMETERS, v4l2.BUF_TYPE_VIDEO_CAPTURE, 0, 0,
                1000, round(1000 * self._rate),
            )  # fmt: skip
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                raise
            return 0.0
        return denominator / numerator if numerator else 0.0

    def _take_buffers(self) -> None:
        count, *_ = self._ask(
            v4l2.REQBUFS, v4l2.REQUEST_BUFFERS, BUFFERS, v4l2.BUF_TYPE_VIDEO_CAPTURE,
            v4l2.MEMORY_MMAP, 0,
        )  # fmt: skip
        for index in range(count):
            buffer = v4l2.Buffer(*self._ask(v4l2.QUERYBUF, v4l2.BUFFER, *v4l2.Buffer(index)))
            self._maps.append(self._kernel.map(self._fd, buffer.length, buffer.offset))
            self._give_back(index)

    def _newest(self) -> Frame | None:
        """Take all frames that wait, and return the last of them; None when none does."""
        taken: list[v4l2.Buffer] = []
        data = b''
        with contextlib.suppress(BlockingIOError):
            while True:
                buffer = v4l2.Buffer(*self._ask(v4l2.DQBUF, v4l2.BUFFER, *v4l2.Buffer(0)))
                data = self._maps[buffer.number][: buffer.bytes_used]
                self._give_back(buffer.number)
                taken.append(buffer)
        if not taken:
            return None
        newest = taken[-1]
        try:
            if newest.flags & v4l2.BUF_FLAG_ERROR:
                raise ValueError('a frame that the driver marked as damaged')
            picture = self._picture(data)
        except ValueError as error:
            raise DamagedFrame(str(error), newest.sequence) from error
        return Frame(picture, _captured(newest), newest.sequence, len(taken) - 1)

    def _picture(self, data: bytes) -> bytes | image.Array:
        if self._encoding == 'jpeg':
            return jpeg.whole(data, self._width, self._height)
        return image.to_rgb8(data, self._encoding, self._width, self._height, self._step)

    def _give_back(self, index: int) -> None:
        """Let the camera fill the buffer again."""
        self._ask(v4l2.QBUF, v4l2.BUFFER, *v4l2.Buffer(index))

    def _formats(self) -> list[str]:
        """Return the codes of all pixel formats of the camera."""
        codes: list[str] = []
        with contextlib.suppress(OSError):  # EINVAL: there is no format of this number
            while True:
                answer = self._ask(
                    v4l2.ENUM_FMT, v4l2.FORMAT_DESCRIPTION, len(codes),
                    v4l2.BUF_TYPE_VIDEO_CAPTURE, 0, b'', 0, 0,
                )  # fmt: skip
                codes.append(v4l2.code(answer[4]))
        return codes

    def _sizes(self, codes: list[str]) -> list[str]:
        """Return the sizes of all formats that we can read, as text."""
        sizes: dict[str, None] = {}
        for code in (code for code in FORMATS if code in codes):
            with contextlib.suppress(OSError):  # EINVAL: there is no size of this number
                for index in range(1000):
                    answer = self._ask(
                        v4l2.ENUM_FRAMESIZES, v4l2.FRAME_SIZE, index, v4l2.fourcc(code),
                        0, 0, 0, 0, 0, 0, 0,
                    )  # fmt: skip
                    if answer[2] != v4l2.FRMSIZE_TYPE_DISCRETE:
                        sizes[f'{answer[3]}x{answer[6]} to {answer[4]}x{answer[7]}'] = None
                        break
                    sizes[f'{answer[3]}x{answer[4]}'] = None
        return list(sizes)

    def _ask(self, request: int, structure: struct.Struct, *values: Any) -> tuple[Any, ...]:
        """Make a request with these values in its structure; return those of the answer."""
        argument = bytearray(structure.pack(*values))
        self._kernel.ioctl(self._fd, request, argument)
        return structure.unpack(argument)


_BUFFER_TYPE = bytearray(v4l2.BUFFER_TYPE.pack(v4l2.BUF_TYPE_VIDEO_CAPTURE))


def _captured(buffer: v4l2.Buffer) -> int:
    """Return when the frame was captured, in nanoseconds of system time.

    Drivers of cameras stamp by the monotonic clock. What stamps otherwise, a video that another
    program feeds in, or nonsense, is taken for captured now.
    """
    now, system = time.monotonic_ns(), time.time_ns()
    if buffer.flags & v4l2.BUF_FLAG_TIMESTAMP_MASK != v4l2.BUF_FLAG_TIMESTAMP_MONOTONIC:
        return system
    age = now - buffer.seconds * 1_000_000_000 - buffer.microseconds * 1000
    return capture_time(system - age, system)


def _refusal(node: VideoNode, error: OSError) -> str:
    cures = {
        errno.EACCES: 'not allowed; add yourself to its group: sudo usermod -aG video $USER, '
        'then log in again',
        errno.EBUSY: f'in use by another program; `fuser -v {node.path}` names it: end it',
        errno.ENOSPC: 'its USB bus has no room left for the stream: plug the cameras into '
        'different ports, not into one hub',
        errno.ENODEV: 'unplugged while it was opened',
    }
    return f'{node}: {cures.get(error.errno or 0, f"{error.strerror}: plug it in again")}'
