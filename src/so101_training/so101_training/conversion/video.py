"""Images into a video file: the codec, and the shortest way from a message to it."""

import math
import os
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from so101_cameras.image import Array
from so101_description.cameras import IMAGE_SHAPE
from so101_node.error import UserError
from so101_policy.features import pixels

# Those of LeRobot that make their files in software (lerobot.configs.video), by its names, and
# the presets and qualities with which they come out about alike, 36 dB.
PRESETS = {'h264': 'veryfast', 'hevc': 'veryfast', 'libsvtav1': '12'}
QUALITIES = {'h264': 23, 'hevc': 25, 'libsvtav1': 30}
CODECS = tuple(PRESETS)

_PIXELS = 'yuv420p'
_SHAPE = IMAGE_SHAPE[:2]

_JPEG, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_HEAD = 4096  # bytes in which what is known of a picture stands
_JPEG_PIXELS = 'yuvj420p'  # as OpenCV and image_transport make them

# From the full range of a JPEG (JFIF) to that of a video (ITU-R BT.601): brightness 16 to 235,
# colours 16 to 240 about 128.
_BLACK, _BRIGHTNESS = 16, 219 / 255
_COLOUR_SHIFT = 128 * (1 - 224 / 255)
# What interpolation to twice the size, by 3/4 and 1/4, and averaging of pairs come to.
_COLOUR = np.array([1, 6, 1]) / 8 * math.sqrt(224 / 255)


@dataclass(frozen=True)
class Codec:
    """How videos are made, in the words of LeRobot's RGBEncoderConfig.

    `g`: frames from one that is decodable by itself to the next. `crf`: quality, the lower the
    better. `width`, `height`: of the videos.
    """

    vcodec: str = 'h264'
    g: int = 2
    crf: int = 23
    preset: str = 'veryfast'
    width: int = IMAGE_SHAPE[1]
    height: int = IMAGE_SHAPE[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the videos."""
        return self.width, self.height

    @property
    def extra(self) -> dict[str, str]:
        """What LeRobot has no field for: no frame is decoded after a later one."""
        return {} if self.vcodec == 'libsvtav1' else {'bf': '0'}

    @property
    def fast_decode(self) -> bool:
        """Whether frames are made to be decoded fast, by leaving out what smooths block edges.

        It costs 0.3 dB and a fifth of the size, and halves the time a training takes to read one.
        """
        return self.vcodec != 'libsvtav1'

    def options(self) -> dict[str, str]:
        """Return the encoder's options. One thread: many videos are made at the same time."""
        chosen = {'g': str(self.g), 'crf': str(self.crf), 'preset': self.preset, **self.extra}
        if self.vcodec == 'libsvtav1':
            return {**chosen, 'svtav1-params': 'fast-decode=0:lp=1'}
        chosen['tune'] = 'fastdecode'
        if self.vcodec == 'hevc':
            chosen['x265-params'] = 'log-level=error:pools=none'
        return {**chosen, 'threads': '1'}

    def check(self) -> None:
        """Raise UserError for what the encoder does not take."""
        if self.vcodec not in CODECS:
            raise UserError(f'codec {self.vcodec!r} is none of {", ".join(CODECS)}')
        if self.g < 1 or self.crf < 0 or any(side < 16 or side % 2 for side in self.size):
            raise UserError(
                f'{asdict(self)}: the GOP is 1 frame or more, crf 0 or more, width and height '
                'are even and 16 pixels or more'
            )
        try:
            context: Any = av.CodecContext.create(self.vcodec, 'w')
            context.width, context.height = self.size
            context.pix_fmt, context.time_base = _PIXELS, Fraction(1, 30)
            context.options = self.options()
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise UserError(
                f'{self.vcodec} does not take preset {self.preset!r}, crf {self.crf}, '
                f'GOP {self.g}: {error}'
            ) from error


class Picture:
    """Makes frames of one camera's messages, of the size that videos have."""

    def __init__(self, topic: str, size: tuple[int, int] = _SHAPE[::-1]) -> None:
        """`size`: width and height."""
        self._topic = topic
        self._size = size
        self._decoder: Any = av.CodecContext.create('mjpeg', 'r')
        self._decoder.thread_count = 1

    def frame(self, message: Any) -> av.VideoFrame:
        """Return the frame of an Image or CompressedImage; UserError as features.pixels."""
        data = b'' if hasattr(message, 'encoding') else message.data.tobytes()
        if _is_plain(data) and self._size == _SHAPE[::-1]:
            try:
                (frame,) = self._decoder.decode(av.Packet(data))
            except (av.FFmpegError, ValueError):
                pass  # what the policy makes of it, or refuses, is found below
            else:
                if frame.format.name == _JPEG_PIXELS and (frame.height, frame.width) == _SHAPE:
                    return _of_jpeg(frame)
        return self.of_pixels(self.pixels(message))

    def pixels(self, message: Any) -> Array:
        """Return the rgb8 pixels, (height, width, 3), that the policy would see, at that size.

        UserError as features.pixels.
        """
        image = pixels(message, self._topic)
        if self._size == _SHAPE[::-1]:
            return image
        return cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    @staticmethod
    def of_pixels(image: Array) -> av.VideoFrame:
        """Return the frame of rgb8 pixels, (height, width, 3)."""
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), 'rgb24')


def _is_plain(data: bytes) -> bool:
    """Return whether it is a JPEG that is whole and is not to be turned (Exif)."""
    whole = data.startswith(_JPEG) and data.rstrip(b'\0').endswith(_JPEG_END)
    return whole and b'Exif' not in data[:_HEAD]


def _of_jpeg(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the video's planes of a JPEG's, as they would be by way of RGB, to half a level.

    A JPEG already holds brightness and colours apart, the latter at half the size. A video has
    them in another range. On the way by RGB the colours are interpolated to full size and averaged
    again, which is the kernel here; without it the file is a third larger. The way by RGB takes a
    millisecond more, a quarter of what encoding takes.
    """
    made = av.VideoFrame(frame.width, frame.height, _PIXELS)
    for number, (source, target) in enumerate(zip(frame.planes, made.planes, strict=True)):
        values, room = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in (source, target)
        )
        if number == 0:
            cv2.convertScaleAbs(values, dst=room, alpha=_BRIGHTNESS, beta=_BLACK)
        else:
            cv2.sepFilter2D(values, -1, _COLOUR, _COLOUR, dst=room, delta=_COLOUR_SHIFT)
    return made


class VideoFile:
    """One MP4 being written, as a context. Raises OSError when the disk does not take it."""

    def __init__(self, path: Path, fps: int, codec: Codec) -> None:
        self._container = av.open(str(path), 'w', format='mp4')
        self._stream = _video_stream(self._container, codec, fps)
        self._stream.width, self._stream.height = codec.size
        self._stream.pix_fmt = _PIXELS
        self._stream.time_base = self._tick = Fraction(1, fps)
        self._reformatter = VideoReformatter()  # one for all: making one takes a third of a frame
        self._frames = 0

    def write(self, frame: av.VideoFrame, times: int = 1) -> None:
        """Append a frame of the codec's size, as many times as it is to be seen."""
        yuv = self._reformatter.reformat(frame, format=_PIXELS)
        for _ in range(times):
            yuv.pts, yuv.time_base = self._frames, self._tick
            self._container.mux(self._stream.encode(yuv))
            self._frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Complete the file; after an error close it as it is."""
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


def _video_stream(container: Any, codec: Codec, fps: int) -> Any:
    return container.add_stream(codec.vcodec, fps, options=codec.options())


def quiet() -> None:
    """Let the codecs of this process say only what is wrong."""
    av.logging.set_libav_level(av.logging.WARNING)
    os.environ['SVT_LOG'] = '1'


def joined(parts: list[Path], path: Path, fps: int) -> None:
    """Write one MP4 of several of the same codec, their frames as they are, one after the other.

    Each part has frames at 0, 1/fps, ...; so has the whole. Raises OSError.
    """
    with av.open(str(path), 'w', format='mp4', options={'movflags': 'faststart'}) as whole:
        stream: Any = None
        begin = 0
        for part in parts:
            one: Any
            with av.open(str(part)) as one:
                video = one.streams.video[0]
                if stream is None:
                    stream = whole.add_stream_from_template(video, opaque=True)
                    stream.time_base = Fraction(1, fps)
                count = 0
                for packet in one.demux(video):
                    if packet.dts is None:
                        continue
                    number = round(packet.pts * packet.time_base * fps)
                    packet.stream = stream
                    packet.time_base = Fraction(1, fps)
                    packet.pts = packet.dts = begin + number
                    packet.duration = 1
                    whole.mux(packet)
                    count += 1
                begin += count
