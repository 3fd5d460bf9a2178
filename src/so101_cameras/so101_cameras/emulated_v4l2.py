"""V4L2 cameras on USB without hardware: what the kernel answers, and its files, from memory.

For tests and measurements, as the emulated servo bus is. It has the traits of real ones: frames
are lost while no buffer is free, numbers go on meanwhile, a value is refused while its automatic
is on, unplugging forgets the settings.
"""

import errno
import json
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from so101_cameras.sources import videodev2 as v4l2
from so101_cameras.sources.kernel import Kernel

# A Logitech C920's: lowest, highest, step, default.
CONTROLS = {
    v4l2.CID_EXPOSURE_AUTO: (0, 3, 1, v4l2.EXPOSURE_APERTURE_PRIORITY),
    v4l2.CID_EXPOSURE_ABSOLUTE: (3, 2047, 1, 250),
    v4l2.CID_EXPOSURE_AUTO_PRIORITY: (0, 1, 1, 1),
    v4l2.CID_GAIN: (0, 255, 1, 64),
    v4l2.CID_AUTO_WHITE_BALANCE: (0, 1, 1, 1),
    v4l2.CID_WHITE_BALANCE_TEMPERATURE: (2000, 6500, 1, 4000),
    v4l2.CID_FOCUS_AUTO: (0, 1, 1, 1),
    v4l2.CID_FOCUS_ABSOLUTE: (0, 250, 5, 0),
}
_EXPOSURE_MODES = (v4l2.EXPOSURE_MANUAL, v4l2.EXPOSURE_APERTURE_PRIORITY)
# Which automatic refuses a value.
_MASTERS = {
    v4l2.CID_EXPOSURE_ABSOLUTE: v4l2.CID_EXPOSURE_AUTO,
    v4l2.CID_WHITE_BALANCE_TEMPERATURE: v4l2.CID_AUTO_WHITE_BALANCE,
    v4l2.CID_FOCUS_ABSOLUTE: v4l2.CID_FOCUS_AUTO,
}


@dataclass
class EmulatedCamera:
    """A camera; its fields may be changed while it delivers.

    `frames` are delivered one after the other, again and again. `memory` is a file that shows its
    settings. `dark`: automatic exposure halves the rate, if it may. `silent`: no more frames.
    `hung`: its driver does not answer any more. `forgetful`: the start of a stream resets its
    settings. `damaged`: the driver marks the frames so. `clock`: its stamps are of the monotonic
    clock. Not `fed`: a video loopback whose program does not run. `refusals`: so many
    settings fail.
    """

    frames: Sequence[bytes]
    name: str = 'HD Pro Webcam C920'
    serial: str = 'A1B2C3D4'
    port: str = '1-2'
    speed: int = 480  # Mbit/s
    version: str = '2.00'  # of USB; 2.10 is a USB 3 camera that has to do with USB 2
    sizes: Sequence[tuple[int, int]] = ((640, 480),)
    formats: Sequence[str] = ('YUYV', 'MJPG')
    rate: float = 30.0
    memory: Path | None = None
    dark: bool = False
    silent: bool = False
    hung: bool = False
    busy: bool = False
    forgetful: bool = False
    damaged: bool = False
    clock: bool = True
    fed: bool = True
    refusals: int = 0
    settings: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset(self._remembered())

    def _remembered(self) -> dict[int, int]:
        """Return what `memory` holds: a camera outlives the program that used it."""
        if not self.memory or not self.memory.exists():
            return {}
        return {
            int(number): value for number, value in json.loads(self.memory.read_text()).items()
        }

    def reset(self, settings: Mapping[int, int] | None = None) -> None:
        """Have these settings, and the defaults of the others, as after a time without power."""
        for number, (_, _, _, default) in CONTROLS.items():
            self.set(number, (settings or {}).get(number, default))

    def set(self, number: int, value: int) -> None:
        self.settings[number] = value
        if self.memory:
            partial = self.memory.with_suffix('.partial')
            partial.write_text(json.dumps(self.settings))
            partial.replace(self.memory)

    @property
    def frame_seconds(self) -> float:
        """From one frame to the next."""
        automatic = self.settings[v4l2.CID_EXPOSURE_AUTO] == v4l2.EXPOSURE_APERTURE_PRIORITY
        may = self.settings[v4l2.CID_EXPOSURE_AUTO_PRIORITY]
        return (2 if self.dark and automatic and may else 1) / self.rate


@dataclass
class _Stream:
    """An open node."""

    camera: EmulatedCamera
    gone: bool = False
    buffers: list[mmap.mmap] = field(default_factory=list)
    queued: deque[int] = field(default_factory=deque)
    filled: deque[v4l2.Buffer] = field(default_factory=deque)
    sequence: int = 0
    due: float | None = None  # of the next frame, once it streams

    def advance(self, now: float) -> None:
        """Make the frames that are due."""
        camera = self.camera
        while self.due is not None and self.due <= now and not self.gone:
            if camera.silent:
                self.due = now + camera.frame_seconds
                return
            if self.queued:
                index = self.queued.popleft()
                data = camera.frames[self.sequence % len(camera.frames)]
                self.buffers[index][: len(data)] = data
                flags = v4l2.BUF_FLAG_TIMESTAMP_MONOTONIC if camera.clock else 0
                flags |= v4l2.BUF_FLAG_ERROR if camera.damaged else 0
                seconds, rest = divmod(self.due, 1)
                self.filled.append(
                    v4l2.Buffer(index, bytes_used=len(data), flags=flags, seconds=int(seconds),
                                microseconds=int(rest * 1e6), sequence=self.sequence)
                )  # fmt: skip
            self.sequence += 1
            self.due += camera.frame_seconds


class EmulatedKernel(Kernel):
    """Cameras of this process alone. `change` them, plug and unplug them from any thread."""

    def __init__(self, root: Path) -> None:
        """`root` is a folder for what would be in /sys and /dev."""
        self._root = root
        self.sysfs = root / 'sys' / 'class' / 'video4linux'
        self.devices = root / 'dev'
        self.by_id = self.devices / 'v4l' / 'by-id'
        for folder in (self.sysfs, self.by_id):
            folder.mkdir(parents=True, exist_ok=True)
        self._changed = threading.Condition()
        self._cameras: dict[Path, EmulatedCamera] = {}
        self._streams: dict[int, _Stream] = {}
        self._next = 1000  # no descriptor of the process has such a number
        self.answers: dict[int, Callable[[_Stream, bytearray], None]] = {
            v4l2.QUERYCAP: _capability,
            v4l2.ENUM_FMT: _format_description,
            v4l2.S_FMT: _set_format,
            v4l2.ENUM_FRAMESIZES: _frame_size,
            v4l2.S_PARM: _set_rate,
            v4l2.REQBUFS: _request_buffers,
            v4l2.QUERYBUF: _query_buffer,
            v4l2.QBUF: _queue,
            v4l2.DQBUF: _dequeue,
            v4l2.STREAMON: _stream_on,
            v4l2.STREAMOFF: _stream_off,
            v4l2.QUERYCTRL: _query_control,
            v4l2.QUERYMENU: _query_menu,
            v4l2.G_CTRL: _get_control,
            v4l2.S_CTRL: _set_control,
        }

    def plug(self, camera: EmulatedCamera, number: int = 0) -> Path:
        """Make /dev/video<number> of it, and the next one of its metadata; return the former."""
        usb = self._root / 'sys' / 'devices' / 'usb1' / camera.port
        interface = usb / f'{camera.port}:1.0'
        interface.mkdir(parents=True)
        (usb / 'idVendor').write_text('046d\n')
        (usb / 'speed').write_text(f'{camera.speed}\n')
        (usb / 'version').write_text(f'{camera.version:>5}\n')
        if camera.serial:
            (usb / 'serial').write_text(f'{camera.serial}\n')
        for index in (0, 1):
            node = f'video{number + index}'
            folder = interface / 'video4linux' / node
            folder.mkdir(parents=True)
            (folder / 'index').write_text(f'{index}\n')
            (folder / 'name').write_text(f'{camera.name}\n')
            (folder / 'device').symlink_to(interface)
            (self.devices / node).touch()
            (self.sysfs / node).symlink_to(folder)
            name = f'usb-{camera.name}_{camera.serial}-video-index{index}'.replace(' ', '_')
            link = self.by_id / name
            link.unlink(missing_ok=True)  # of another of this name
            link.symlink_to(self.devices / node)
        path = self.devices / f'video{number}'
        with self._changed:
            self._cameras[path] = camera
        return path

    def unplug(self, camera: EmulatedCamera) -> None:
        """Take away its nodes; who has it open gets errors."""
        usb = self._root / 'sys' / 'devices' / 'usb1' / camera.port
        with self._changed:
            self._cameras = {path: c for path, c in self._cameras.items() if c is not camera}
            for stream in self._streams.values():
                stream.gone |= stream.camera is camera
            camera.reset()
            self._changed.notify_all()
        for link in (*self.by_id.iterdir(), *self.sysfs.iterdir()):
            if usb in link.resolve().parents or link.readlink() in self._nodes(usb):
                link.unlink()
        for node in self._nodes(usb):
            node.unlink()
        _remove(usb)

    def change(self, camera: EmulatedCamera, **fields: object) -> None:
        """Set fields of a camera, seen at once by who waits for it."""
        with self._changed:
            for name, value in fields.items():
                if name not in camera.__dataclass_fields__:
                    raise AttributeError(name)
                setattr(camera, name, value)
            self._changed.notify_all()

    def _nodes(self, usb: Path) -> list[Path]:
        return [self.devices / folder.name for folder in usb.glob('*/video4linux/video*')]

    def open(self, path: Path) -> int:
        with self._changed:
            camera = self._cameras.get(path.resolve())
            if camera is None:
                raise _error(errno.ENODEV)
            self._next += 1
            self._streams[self._next] = _Stream(camera)
            return self._next

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        with self._changed:
            stream = self._streams[fd]
            self._changed.wait_for(lambda: not stream.camera.hung)
            if stream.gone:
                raise _error(errno.ENODEV)
            if request not in self.answers:
                raise _error(errno.ENOTTY)
            stream.advance(time.monotonic())
            self.answers[request](stream, argument)

    def map(self, fd: int, length: int, offset: int) -> mmap.mmap:
        return self._streams[fd].buffers[offset // length]

    def wait(self, fd: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            stream = self._streams[fd]
            while True:
                now = time.monotonic()
                stream.advance(now)
                if stream.filled or stream.gone:
                    return True
                if now >= deadline:
                    return False
                due = deadline if stream.due is None else min(stream.due, deadline)
                self._changed.wait(due - now)

    def close(self, fd: int) -> None:
        with self._changed:
            del self._streams[fd]


def _capability(stream: _Stream, argument: bytearray) -> None:
    camera = stream.camera
    abilities = v4l2.CAP_VIDEO_CAPTURE if camera.fed else v4l2.CAP_VIDEO_OUTPUT
    abilities |= v4l2.CAP_STREAMING
    v4l2.CAPABILITY.pack_into(
        argument, 0, b'uvcvideo', camera.name.encode(), camera.port.encode(), 0,
        abilities | v4l2.CAP_DEVICE_CAPS, abilities,
    )  # fmt: skip


def _format_description(stream: _Stream, argument: bytearray) -> None:
    index, kind, *_ = v4l2.FORMAT_DESCRIPTION.unpack(argument)
    formats = stream.camera.formats
    if index >= len(formats):
        raise _error(errno.EINVAL)
    v4l2.FORMAT_DESCRIPTION.pack_into(
        argument, 0, index, kind, 0, b'', v4l2.fourcc(formats[index]), 0
    )


def _set_format(stream: _Stream, argument: bytearray) -> None:
    camera = stream.camera
    if camera.busy:
        raise _error(errno.EBUSY)
    kind, width, height, number, *_ = v4l2.FORMAT.unpack(argument)
    if (width, height) not in camera.sizes:
        width, height = camera.sizes[0]
    if v4l2.code(number) not in camera.formats:
        number = v4l2.fourcc(camera.formats[0])
    step = 2 * width if v4l2.code(number) in ('YUYV', 'UYVY') else 0
    v4l2.FORMAT.pack_into(argument, 0, kind, width, height, number, 1, step, 2 * width * height, 0)


def _frame_size(stream: _Stream, argument: bytearray) -> None:
    index, number, *_ = v4l2.FRAME_SIZE.unpack(argument)
    sizes = stream.camera.sizes
    if index >= len(sizes):
        raise _error(errno.EINVAL)
    v4l2.FRAME_SIZE.pack_into(
        argument, 0, index, number, v4l2.FRMSIZE_TYPE_DISCRETE, *sizes[index], 0, 0, 0, 0
    )


def _set_rate(stream: _Stream, argument: bytearray) -> None:
    kind, *_ = v4l2.STREAM_PARAMETERS.unpack(argument)
    rate = round(1000 * stream.camera.rate)
    v4l2.STREAM_PARAMETERS.pack_into(argument, 0, kind, 0x1000, 0, 1000, rate)


def _request_buffers(stream: _Stream, argument: bytearray) -> None:
    count, *rest = v4l2.REQUEST_BUFFERS.unpack(argument)
    stream.buffers = [mmap.mmap(-1, _buffer_size(stream)) for _ in range(count)]
    v4l2.REQUEST_BUFFERS.pack_into(argument, 0, count, *rest)


def _buffer_size(stream: _Stream) -> int:
    return 2 * max(width * height for width, height in stream.camera.sizes)


def _query_buffer(stream: _Stream, argument: bytearray) -> None:
    buffer = v4l2.Buffer(*v4l2.BUFFER.unpack(argument))
    size = _buffer_size(stream)
    answer = buffer._replace(length=size, offset=buffer.number * size)
    v4l2.BUFFER.pack_into(argument, 0, *answer)


def _queue(stream: _Stream, argument: bytearray) -> None:
    stream.queued.append(v4l2.Buffer(*v4l2.BUFFER.unpack(argument)).number)


def _dequeue(stream: _Stream, argument: bytearray) -> None:
    if not stream.filled:
        raise _error(errno.EAGAIN)
    v4l2.BUFFER.pack_into(argument, 0, *stream.filled.popleft())


def _stream_on(stream: _Stream, argument: bytearray) -> None:
    if stream.camera.forgetful:
        stream.camera.reset()
    stream.due = time.monotonic() + stream.camera.frame_seconds


def _stream_off(stream: _Stream, argument: bytearray) -> None:
    stream.due = None


def _query_control(stream: _Stream, argument: bytearray) -> None:
    number = v4l2.QUERY_CONTROL.unpack(argument)[0]
    if number not in CONTROLS:
        raise _error(errno.EINVAL)
    v4l2.QUERY_CONTROL.pack_into(argument, 0, number, 1, b'', *CONTROLS[number], 0)


def _query_menu(stream: _Stream, argument: bytearray) -> None:
    number, index, _ = v4l2.QUERY_MENU.unpack(argument)
    if number != v4l2.CID_EXPOSURE_AUTO or index not in _EXPOSURE_MODES:
        raise _error(errno.EINVAL)


def _get_control(stream: _Stream, argument: bytearray) -> None:
    number, _ = v4l2.CONTROL.unpack(argument)
    if number not in CONTROLS:
        raise _error(errno.EINVAL)
    v4l2.CONTROL.pack_into(argument, 0, number, stream.camera.settings[number])


def _set_control(stream: _Stream, argument: bytearray) -> None:
    number, value = v4l2.CONTROL.unpack(argument)
    if number not in CONTROLS:
        raise _error(errno.EINVAL)
    if number == v4l2.CID_EXPOSURE_AUTO and value not in _EXPOSURE_MODES:
        raise _error(errno.EINVAL)
    master = _MASTERS.get(number)
    off = v4l2.EXPOSURE_MANUAL if master == v4l2.CID_EXPOSURE_AUTO else 0
    if master and stream.camera.settings[master] != off:
        raise _error(errno.EACCES)
    if stream.camera.refusals:
        stream.camera.refusals -= 1
        raise _error(errno.EIO)
    low, high, _, _ = CONTROLS[number]
    stream.camera.set(number, min(max(value, low), high))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _remove(path)
        else:
            path.unlink()
    folder.rmdir()
