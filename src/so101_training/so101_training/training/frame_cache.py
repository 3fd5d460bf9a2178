"""A dataset's frames on disk as they are trained on: decoded and made small once, then only read.

One file an episode and camera, of plain rgb8 frames: every process reads them from the same memory
of the system. A file is whole or not there, and its name says what it was made from, so an
interrupted making goes on where it was, and frames of a changed video are made again.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

from so101_node.progress import progress_bar
from so101_training.training.videos import Array, Clip, DataError, Video

# The form of the files and the arithmetic of their frames; another one is another name.
FORM = 1
PARTIAL = '.partial'


class FrameCache:
    """The frames of clips, in files below `folder`.

    Raises DataError, also in its methods, when a video is missing or damaged.
    """

    def __init__(self, folder: Path, clips: Sequence[Clip]) -> None:
        self.folder = folder
        self._clips = list(clips)
        self._files = {(clip.camera, clip.episode): self._file(clip) for clip in clips}
        self._sizes = {clip.camera: clip.size for clip in clips}

    @property
    def missing_bytes(self) -> int:
        """How much is still to be written."""
        return sum(_bytes(clip) for clip in self._missing())

    def make(self, console: Console) -> None:
        """Write what is missing, with progress on `console`.

        Raises DataError also when it cannot be written. Whatever ends it, no file is half there,
        and the next one writes only the rest.
        """
        if not self._missing():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(console):
                self._write_missing(console)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DataError(
                    f'no space left for the {_gigabytes(self.missing_bytes)} of decoded frames '
                    f"missing in {self.folder}; make room, give another folder as cache, or 'none'"
                ) from error
            raise DataError(
                f'cannot keep decoded frames in {self.folder}: {error}; '
                "give another folder as cache, or 'none'"
            ) from error

    def read(self, camera: str, episode: int, offset: int) -> Array:
        """Return the rgb8 frame `offset` of an episode, of its clip's size.

        Raises DataError when it is not there.
        """
        path = self._files[camera, episode]
        frame = np.empty((*self._sizes[camera], 3), np.uint8)
        try:
            with path.open('rb', buffering=0) as file:
                file.seek(offset * frame.nbytes)
                count = file.readinto(frame)
        except OSError as error:
            raise DataError(f'{path} cannot be read: {error}; {_AGAIN}') from error
        if count != frame.nbytes:
            raise DataError(f'{path} lacks its frame {offset}; {_AGAIN}')
        return frame

    def _file(self, clip: Clip) -> Path:
        try:
            status = clip.video.stat()
        except OSError as error:
            raise DataError(
                f'{clip.video} is missing: {error.strerror}; restore it, or exclude its camera'
            ) from error
        source = f'{FORM} {clip.video.name} {status.st_size} {status.st_mtime_ns} {clip.tolerance}'
        made_from = hashlib.sha256(source.encode() + clip.times.tobytes()).hexdigest()[:16]
        height, width = clip.size
        folder = self.folder / f'{width}x{height}' / clip.camera
        return folder / f'episode_{clip.episode:06d}-{made_from}.rgb'

    def _missing(self) -> list[Clip]:
        return [clip for clip in self._clips if not self._is_whole(clip)]

    def _is_whole(self, clip: Clip) -> bool:
        path = self._files[clip.camera, clip.episode]
        return path.is_file() and path.stat().st_size == _bytes(clip)

    @contextmanager
    def _alone(self, console: Console) -> Iterator[None]:
        """Wait until no other process writes here; the system ends a killed one's turn."""
        with (self.folder / '.lock').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.print(f'waiting for another process that decodes into {self.folder}')
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_missing(self, console: Console) -> None:
        for left in self.folder.rglob(f'*{PARTIAL}'):
            left.unlink()
        missing = self._missing()
        needed, free = sum(map(_bytes, missing)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(errno.ENOSPC, f'{_gigabytes(free)} free')
        stop = threading.Event()
        with progress_bar(console) as progress:
            task = progress.add_task(
                f'decoding frames once, {_gigabytes(needed)}', total=sum(map(len, missing))
            )

            def advance() -> None:
                if stop.is_set():
                    raise InterruptedError(f'{self.folder} is not complete')
                progress.advance(task)

            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
                writing = [threads.submit(self._write, clip, advance) for clip in missing]
                try:
                    for written in as_completed(writing):
                        written.result()
                finally:
                    stop.set()
                    threads.shutdown(cancel_futures=True)

    def _write(self, clip: Clip, advance: Callable[[], None]) -> None:
        path = self._files[clip.camera, clip.episode]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(PARTIAL)
        video = Video(clip.video)
        try:
            with partial.open('wb') as file:
                for frame in video.frames(clip.times, clip.tolerance):
                    file.write(np.ascontiguousarray(clip.resized(frame)))
                    advance()
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            video.close()
            partial.unlink(missing_ok=True)
        for outdated in path.parent.glob(f'episode_{clip.episode:06d}-*.rgb'):
            if outdated != path:
                outdated.unlink()


_AGAIN = 'delete the file, and the next training makes it again'


def _bytes(clip: Clip) -> int:
    return len(clip) * clip.size[0] * clip.size[1] * 3


def _gigabytes(count: int) -> str:
    return f'{count / 1e9:.1f} GB'
