"""A video file read once, in order: the pictures of the episodes that lie in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from so101_training.checks.picture import Luma, Measures, PictureMeter
from so101_training.checks.take import Pictures

# Brightness of video range (16 to 235, ITU-R BT.601) as of full range.
_FULL = np.clip(np.rint((np.arange(256) - 16.0) * 255.0 / 219.0), 0, 255).astype(np.uint8)

# Whose first plane is the brightness, a byte a pixel.
_PLANAR = ('yuv420p', 'yuvj420p', 'yuv422p', 'yuvj422p', 'yuv444p', 'yuvj444p', 'gray', 'nv12')


@dataclass(frozen=True)
class Span:
    """An episode in a video file: from `start` seconds on, `length` pictures."""

    number: int
    start: float
    length: int


@dataclass(frozen=True)
class VideoPiece:
    """Spans of one file that follow each other: what one process reads at a time."""

    path: Path
    camera: str
    fps: float
    spans: tuple[Span, ...]

    @property
    def frames(self) -> int:
        return sum(span.length for span in self.spans)


def measured(piece: VideoPiece) -> dict[int, Pictures]:
    """Return the pictures of each episode of the piece; never raises for a broken file."""
    meters = {span.number: _Episode(span, piece.fps) for span in piece.spans}
    trouble = ''
    damaged = 0
    try:
        at = 0
        for frame in decoded(piece.path, piece.spans[0].start):
            if frame is None:
                damaged += 1
                continue
            index = round(frame.time * piece.fps)
            while at < len(piece.spans) and index >= meters[piece.spans[at].number].stop:
                meters[piece.spans[at].number].damaged += damaged
                at, damaged = at + 1, 0
            if at == len(piece.spans):
                break
            meters[piece.spans[at].number].take(index, frame)
        else:
            for span in piece.spans[at:]:
                meters[span.number].damaged += damaged
                damaged = 0
    except (FFmpegError, OSError, IndexError) as error:
        trouble = f'{piece.path.name} cannot be read: {_said(error)}'
    return {number: meter.finish(trouble) for number, meter in meters.items()}


class _Episode:
    def __init__(self, span: Span, fps: float) -> None:
        self._first = round(span.start * fps)
        self.stop = self._first + span.length
        self._length, self._fps = span.length, fps
        self._meter = PictureMeter()
        self._indices: list[int] = []
        self.damaged = 0

    def take(self, index: int, frame: av.VideoFrame) -> None:
        known = self._indices[-1] if self._indices else self._first - 1
        if index <= known:  # before the episode, or a second picture of the same time
            return
        self._indices.append(index)
        self._meter.feed(luma(frame))

    def finish(self, trouble: str) -> Pictures:
        measures = self._meter.finish()
        return Pictures(
            (np.array(self._indices, dtype=np.float64) - self._first) / self._fps,
            measures,
            damaged=self.damaged,
            trouble=trouble if len(self._indices) < self._length else '',
        )


def decoded(path: Path, start: float) -> Iterator[av.VideoFrame | None]:
    """Yield the frames from the keyframe at or before `start` seconds on; None: a damaged one.

    Raises FFmpegError for a file that is no video, OSError for one that is missing, IndexError for
    one without pictures.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        # Processes share the cores; threads within each would only wait for each other.
        stream.codec_context.thread_count = 1
        if start > 0 and stream.time_base is not None:
            container.seek(int(start / stream.time_base), stream=stream)
        for packet in container.demux(stream):
            try:
                frames: Sequence[Any] = packet.decode()
            except FFmpegError:
                yield None
                continue
            for frame in frames:
                if frame.time is None or frame.is_corrupt:
                    yield None
                else:
                    yield frame


def luma(frame: av.VideoFrame) -> Luma:
    """Return the brightness of a frame, 0 to 255, shape (height, width)."""
    if frame.format.name not in _PLANAR:
        return frame.to_ndarray(format='gray')  # type: ignore[return-value]
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    pixels = rows[: frame.height, : frame.width]
    full = frame.color_range == ColorRange.JPEG or 'j' in frame.format.name
    if full or frame.format.name == 'gray':
        return np.ascontiguousarray(pixels)
    return cv2.LUT(pixels, _FULL)  # type: ignore[return-value]


def pictures_at(path: Path, fps: float, indices: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Return the rgb8 pictures with these numbers, counted from the file's start, as found."""
    found: dict[int, NDArray[np.uint8]] = {}
    try:
        for wanted in sorted(set(indices)):
            for frame in decoded(path, wanted / fps):
                index = None if frame is None else round(frame.time * fps)
                if index is None or index < wanted:
                    continue
                if index == wanted and frame is not None:
                    found[wanted] = frame.to_ndarray(format='rgb24')  # type: ignore[assignment]
                break
    except (FFmpegError, OSError, IndexError):
        return found  # the checks tell of a broken file; here there is no picture to show
    return found


def nothing(trouble: str) -> Pictures:
    """Return what is known of pictures that nobody could look at."""
    return Pictures(np.empty(0), Measures.none(), trouble=trouble)


def _said(error: Exception) -> str:
    return str(getattr(error, 'strerror', None) or error) or type(error).__name__
