"""One video being written: H.264 and AAC in an MP4 that is playable at every moment."""

import contextlib
import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2

from so101_cameras.image import Array
from so101_view.sound import RATE, Samples

# Until it is complete: the name ends in .partial.mp4.
PARTIAL = '.partial'

# x264's, by what a frame of two noisy cameras cost on one core of an EPYC, and the file's bits a
# second, all at CRF 23 and above 44 dB: ultrafast 2.6 ms, 0.9 Mb/s; superfast 10 ms, 2.5 Mb/s;
# veryfast 10 ms, 0.3 Mb/s. While an arm moves, time is dear; later, space.
LIVE = 'ultrafast'
LATER = 'veryfast'
_CRF = 23

_KEY_FRAMES = 2  # seconds from one to the next: how far a player seeks at most

# A fragmented file while it is written, of which a killed process leaves all but the last half
# second; when it is closed, an index in front of the same data makes it a plain one.
_CONTAINER = {'movflags': 'hybrid_fragmented', 'frag_duration': '500000', 'flush_packets': '1'}

_AAC = 128_000  # bits a second
# Samples that the AAC encoder puts before the first. As many are left out, so that no time is
# negative: a fragmented file would begin later by them.
_PRIMING = 1024

_STARTED = re.compile(r'started (\d+)')  # in the comment; ns of system time
_SMPTE170M = 6  # of av.video.reformatter.Colorspace and its kin: what OpenCV converts to


class VideoFile:
    """A video of `fps` frames a second; it is at `path` once it was closed.

    Every method raises OSError when the disk does not take what is written.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: int,
        started: int,
        sound: bool = False,
        preset: str = LIVE,
    ) -> None:
        """`size`: width, height, both even; `started`: ns of system time of the first frame."""
        self.path = path
        self.partial = path.with_name(f'{path.stem}{PARTIAL}.mp4')
        self.fps = fps
        self.started = started
        self.frames = 0
        self._output = _Output(self.partial)
        self._container = av.open(self._output, 'w', format='mp4', options=_CONTAINER)
        when = datetime.fromtimestamp(started * 1e-9, UTC)
        self._container.metadata['creation_time'] = when.isoformat()
        self._container.metadata['comment'] = f'started {started}'
        # Frames that wait for later ones (bf) would begin the file with a gap, see _PRIMING.
        options = {'preset': preset, 'crf': str(_CRF), 'g': str(_KEY_FRAMES * fps), 'bf': '0'}
        self._video = self._container.add_stream('libx264', rate=fps, options=options)
        self._video.width, self._video.height = size
        self._video.pix_fmt = 'yuv420p'
        context = self._video.codec_context
        context.thread_count = 1  # threads cost more in all, and the cores are the policy's
        context.colorspace = context.color_primaries = context.color_trc = _SMPTE170M
        context.color_range = 1  # as in television: 16 to 235
        self._frame: av.VideoFrame | None = None
        self._sound: av.AudioStream | None = None
        self._samples = 0
        if sound:
            self._sound = self._container.add_stream('aac', rate=RATE, layout='mono')
            self._sound.bit_rate = _AAC

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    def write(self, picture: Array) -> None:
        """Write the next frame, rgb8 of the video's size."""
        yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        self._frame = av.VideoFrame.from_ndarray(yuv, format='yuv420p')  # type: ignore[arg-type]
        self._frame.time_base = Fraction(1, self.fps)
        self.repeat()

    def repeat(self) -> None:
        """Write the last frame once more."""
        assert self._frame is not None
        self._frame.pts = self.frames
        self.frames += 1
        self._mux(self._video, self._frame)

    def write_sound(self, samples: Samples) -> None:
        """Write the samples that follow those before; the first are of the first frame."""
        assert self._sound is not None
        begin, self._samples = self._samples, self._samples + len(samples)
        samples = samples[max(0, _PRIMING - begin) :]
        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[None], format='s16', layout='mono')
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = self._samples - len(samples)
            self._mux(self._sound, frame)

    def close(self) -> None:
        """Complete the file and give it its name."""
        self._mux(self._video, None)
        if self._sound is not None:
            self._mux(self._sound, None)
        with self._disk_errors():
            self._container.close()
        self._output.close()
        self.partial.replace(self.path)

    def abandon(self) -> None:
        """Stop, and leave the file as far as it is, under its partial name."""
        self._output.error = self._output.error or OSError(errno.EIO, 'abandoned')
        with contextlib.suppress(OSError), self._disk_errors():
            self._container.close()
        self._output.close()

    def discard(self) -> None:
        """Stop, and leave nothing."""
        self.abandon()
        self.partial.unlink(missing_ok=True)

    def _mux(
        self, stream: av.VideoStream | av.AudioStream, frame: av.VideoFrame | av.AudioFrame | None
    ) -> None:
        with self._disk_errors():
            for packet in stream.encode(frame):  # type: ignore[arg-type]
                self._container.mux(packet)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Raise what the disk said, also where PyAV says only that something failed."""
        try:
            yield
        except av.FFmpegError as error:
            raise self._output.error or OSError(error.errno, error.strerror) from error


class _Output:
    """The file as PyAV writes it. After the first error nothing changes it any more.

    FFmpeg, on a full disk, would otherwise replace the index in front by the one that did not fit.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open('wb', buffering=0)

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def find_video(directory: Path, started: int) -> tuple[Path, float] | None:
    """Return the video in `directory` that shows the moment `started`, and the seconds until it.

    `started` in ns of system time, an episode's for instance: `<video>#t=<seconds>` shows it. Also
    finds a video whose writer was killed. None when there is none.
    """
    for path in sorted(directory.glob('*.mp4')):
        stat = path.stat()
        begin, seconds = _span(path, stat.st_mtime_ns, stat.st_size)
        if 0 <= (offset := (started - begin) * 1e-9) < seconds:
            return path, offset
    return None


def started(path: Path) -> int:
    """Return when a video of ours began, ns of system time; raises ValueError for another file."""
    stat = path.stat()
    begin, _ = _span(path, stat.st_mtime_ns, stat.st_size)
    if not begin:
        raise ValueError(f'{path}: not a video of this suite')
    return begin


@lru_cache(maxsize=1024)
def _span(path: Path, _modified: int, _size: int) -> tuple[int, float]:
    """Return a video's start and length in seconds; a length of 0 for what is not one of ours.

    It takes 3 ms, hence the cache, which holds until the file is another.
    """
    try:
        container = av.open(path)
    except (av.FFmpegError, OSError):
        return 0, 0.0
    with container:
        found = _STARTED.fullmatch(container.metadata.get('comment', ''))
        seconds = (container.duration or 0) * 1e-6
    return (int(found[1]), seconds) if found else (0, 0.0)
