"""Frames of a dataset's videos in any order, from files that stay open."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from so101_node.error import UserError

Array = NDArray[Any]  # of uint8; OpenCV's and PyAV's annotations say less

# Seconds; a frame this near to the wanted time is it, at any rate below 5,000 Hz. Timestamps of a
# dataset are float32: 60 s of them are exact to 4 microseconds.
NEAR = 1e-4
# Files that a process keeps open. A LeRobot dataset has one of 200 MB for some 10,000 frames.
OPEN_FILES = 64


class DataError(UserError):
    """A UserError that also a loader's worker can raise.

    There torch puts the worker's traceback before the text; here it is taken off again.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text.rpartition(f'{type(self).__name__}: ')[2].strip())


@dataclass(frozen=True, eq=False)
class Clip:
    """An episode as one camera saw it, and as it is wanted.

    `times` (n,), seconds in the file `video`, ascending: one for each frame of the episode. A
    frame that is `tolerance` seconds or more from its time is none. `shape` is height and width of
    the video, `size` the wanted ones.
    """

    camera: str
    episode: int
    video: Path
    times: NDArray[np.float64]
    tolerance: float
    shape: tuple[int, int]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.times)

    def resized(self, frame: Array) -> Array:
        """Return a frame of the video at `size`: bilinear, from pixel centres, not smoothed first.

        So does torch's interpolate, with which SmolVLA makes its images small when it runs; this
        differs by rounding. Raises DataError when the frame is not of `shape`.
        """
        if frame.shape[:2] != self.shape:
            raise DataError(
                f'{self.video} has frames of {frame.shape[1]}x{frame.shape[0]}, not of the '
                f'{self.shape[1]}x{self.shape[0]} in meta/info.json; convert the dataset again'
            )
        if self.size == self.shape:
            return frame
        return cv2.resize(frame, self.size[::-1], interpolation=cv2.INTER_LINEAR)


class Video:
    """An open video file.

    Decodes in the caller's thread: many processes do this at once. Raises DataError, also in its
    methods, when the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container: InputContainer = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise DataError(
                f'{path} is not a video: {error}; convert the dataset again, or restore the file'
            ) from error
        self._stream.thread_type = 'NONE'
        self._stream.codec_context.thread_count = 1
        # Keeps its tables from one frame to the next.
        self._reformatter = VideoReformatter()

    def close(self) -> None:
        self._container.close()

    def frames(self, times: Sequence[float] | NDArray[Any], tolerance: float) -> Iterator[Array]:
        """Yield the rgb8 frame (height, width, 3) nearest to each of `times`, seconds, ascending.

        The pixels are those of LeRobot's pyav backend. Raises DataError when there is none within
        `tolerance` seconds of a time.
        """
        decoded = self._decode_from(times[0])
        earlier: VideoFrame | None = None
        latest: VideoFrame | None = None
        for wanted in times:
            while latest is None or latest.time < wanted - NEAR:
                following = next(decoded, None)
                if following is None:
                    break
                earlier, latest = latest, following
            near = [frame for frame in (earlier, latest) if frame is not None]
            best = min(near, key=lambda frame: abs(frame.time - wanted), default=None)
            if best is None or abs(best.time - wanted) >= max(tolerance, NEAR):
                raise DataError(
                    f'{self.path} has no frame at {wanted:.4f} s; convert the dataset again, or '
                    'leave out the episode: so101 check finds and removes it'
                )
            yield self._reformatter.reformat(best, format='rgb24').to_ndarray()

    def _decode_from(self, time: float) -> Iterator[VideoFrame]:
        stream = self._stream
        assert stream.time_base is not None
        try:
            place = round((time - NEAR) / stream.time_base)
            self._container.seek(place, stream=stream, backward=True)
            for frame in self._container.decode(stream):
                if frame.pts is not None:
                    yield frame
        except (av.FFmpegError, OSError) as error:
            raise DataError(
                f'{self.path} is damaged near {time:.1f} s: {error}; convert the dataset again, '
                'or leave out the episode: so101 check finds and removes it'
            ) from error


class VideoFrames:
    """Frames of clips, decoded when they are asked for."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = {(clip.camera, clip.episode): clip for clip in clips}
        self._open: OrderedDict[Path, Video] = OrderedDict()

    def read(self, camera: str, episode: int, offset: int) -> Array:
        """Return the rgb8 frame `offset` of an episode, of its clip's size.

        Raises DataError as Video and Clip do.
        """
        clip = self._clips[camera, episode]
        video = self._video(clip.video)
        frame = next(video.frames(clip.times[offset : offset + 1], clip.tolerance))
        return clip.resized(frame)

    def _video(self, path: Path) -> Video:
        if path not in self._open:
            self._open[path] = Video(path)
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(path)
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_open': OrderedDict()}
