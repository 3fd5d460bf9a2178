"""A video in place of a camera: a file, or a camera's episode of a LeRobot dataset."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from so101_cameras.sources import jpeg
from so101_cameras.sources.dataset_episode import Clip, find
from so101_cameras.sources.source import DamagedFrame, Delivery, Ended, Frame
from so101_node.error import UserError


class VideoSource:
    """Its frames at their own times; motion JPEG is passed on as it is. See Source.

    A frame counts as captured when it is due. A program that was held up goes on where it was.
    """

    def __init__(
        self,
        device: str,
        width: int,
        height: int,
        *,
        loop: bool = True,
        camera: str = 'wrist',
        episode: int = 0,
    ) -> None:
        """`device` is a file, or the folder of a dataset, of which `camera` and `episode` count.

        `loop`: again from its start after its end. Raises UserError when there is no such video.
        """
        path = Path(device).expanduser()
        if not device or not path.exists():
            raise UserError(
                f'device {device!r}: give a video file, or the folder of a LeRobot dataset'
            )
        self._clip = find(path, camera, episode) if path.is_dir() else Clip(path)
        self._width, self._height = width, height
        self._loop = loop
        self._container: InputContainer | None = None
        self._pictures: Iterator[_Picture] = iter(())
        self._next: _Picture | None = None
        self._begun = 0.0  # time.monotonic() of the clip's start
        self._end = 0.0  # seconds, of the last picture that was shown
        self._number = -1
        self._period = 0.0

    def open(self) -> Delivery:
        file = self._clip.file
        try:
            self._container = av.open(str(file))
            stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            self.close()
            raise UserError(f'device {file}: no video that can be played: {error}') from error
        width, height = stream.width, stream.height
        if (width, height) != (self._width, self._height):
            self.close()
            raise UserError(
                f'device {file}: {width}x{height}, not {self._width}x{self._height}: scale the '
                'video, or say its width and height'
            )
        rate = float(stream.average_rate or 30)
        self._period = 1 / rate
        self._begun = time.monotonic()
        self._rewind()
        codec = stream.codec_context.name.upper()
        return Delivery(str(file), 'a video', width, height, rate, codec)

    def read(self, timeout: float) -> Frame:
        now = time.monotonic()
        picture = self._next or self._following()
        self._next = picture
        due = self._begun + picture.seconds - self._clip.start
        if due - now > timeout:
            time.sleep(timeout)
            raise TimeoutError
        if now - due > self._period:
            self._begun += now - due
        time.sleep(max(0.0, due - now))
        captured = time.time_ns()
        self._next = None
        self._end = picture.seconds + self._period
        self._number += 1
        if isinstance(picture.content, av.VideoFrame):
            pixels = np.asarray(picture.content.to_ndarray(format='rgb24'), np.uint8)
            return Frame(pixels, captured, self._number)
        try:
            image = jpeg.whole(picture.content, self._width, self._height)
        except ValueError as error:
            raise DamagedFrame(str(error), self._number) from error
        return Frame(image, captured, self._number)

    def close(self) -> None:
        if self._container:
            self._container.close()
        self._container = self._next = None

    def _following(self) -> '_Picture':
        """Return the next picture, after the last one the first again."""
        try:
            if (picture := next(self._pictures, None)) is not None:
                return picture
            if self._end <= self._clip.start:
                raise UserError(f'device {self._clip.file}: it has no pictures')
            if not self._loop:
                raise Ended
            self._begun += self._end - self._clip.start
            self._rewind()
            return next(self._pictures)
        except av.FFmpegError as error:
            raise UserError(
                f'device {self._clip.file}: it cannot be played to its end: {error}'
            ) from error

    def _rewind(self) -> None:
        assert self._container
        stream = self._container.streams.video[0]
        if self._end or self._clip.start:
            self._container.seek(round(self._clip.start * av.time_base))
        self._pictures = self._play(self._container, stream)

    def _play(self, container: InputContainer, stream: VideoStream) -> 'Iterator[_Picture]':
        """Yield the pictures of the clip from where the container stands, a keyframe before it."""
        as_they_are = stream.codec_context.name == 'mjpeg'
        half = self._period / 2
        for picture in (_packets if as_they_are else _decoded)(container, stream):
            if self._clip.end is not None and picture.seconds > self._clip.end - half:
                return
            if picture.seconds > self._clip.start - half:
                yield picture


class _Picture(NamedTuple):
    """Its time in the file, and a JPEG, or a frame that was decoded."""

    seconds: float
    content: bytes | av.VideoFrame


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[_Picture]:
    for packet in container.demux(stream):
        if packet.size and packet.pts is not None and packet.time_base:
            yield _Picture(float(packet.pts * packet.time_base), bytes(packet))


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[_Picture]:
    for frame in container.decode(stream):
        if frame.time is not None:
            yield _Picture(float(frame.time), frame)
