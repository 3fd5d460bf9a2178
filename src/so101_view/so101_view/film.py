"""A film: pictures and sound of a wall clock's time, written at a constant rate."""

import time
from dataclasses import replace
from typing import Any

from so101_cameras.image import Array
from so101_node.samples import Samples
from so101_view.caption import Caption
from so101_view.images import Images, pixels
from so101_view.picture import Layout
from so101_view.sound import Sound
from so101_view.video_file import VideoFile


class Film:
    """Writes a frame for each 1/fps since `started`: what the cameras saw in the middle of it.

    Times are ns of one clock, whichever. `images` and `sound` may be fed by other threads, and
    `caption` set by them.
    """

    def __init__(
        self, file: VideoFile, layout: Layout, started: int, sound: Sound | None = None
    ) -> None:
        self.images = {camera: Images() for camera in layout.cameras}
        self.caption = Caption()
        self.repeated = 0  # frames that show what the one before showed
        self.encode = Samples()  # seconds of a frame: composed, encoded, written
        self._file = file
        self._first = file.frames  # another film may be in the file before
        self._layout = layout
        self._started = started
        self._sound = sound
        self._decoded: dict[str, tuple[Any, Array | None, str]] = {
            camera: (None, None, '') for camera in layout.cameras
        }
        self._shown: tuple[dict[str, Any], Caption] | None = None  # by the last frame

    @property
    def next(self) -> int:
        """The time that the next frame will show."""
        return self._time(self._file.frames - self._first + 0.5)

    def advance(self, now: int) -> None:
        """Write every frame of a time up to `now`; raises OSError."""
        while self.next <= now:
            began = time.monotonic()
            self._write()
            self.encode.add(time.monotonic() - began)

    def _write(self) -> None:
        messages = {camera: images.at(self.next) for camera, images in self.images.items()}
        caption = self.caption
        if self._shown is not None and _same(self._shown, (messages, caption)):
            self.repeated += 1
            self._file.repeat()
        else:
            self._shown = messages, caption
            self._file.write(self._picture(messages, caption))
        if self._sound is not None:
            self._file.write_sound(self._sound.take(self._time(self._file.frames - self._first)))

    def _time(self, frames: float) -> int:
        return self._started + round(frames * 1e9 / self._file.fps)

    def _picture(self, messages: dict[str, Any], caption: Caption) -> Array:
        for camera, message in messages.items():
            if message is not self._decoded[camera][0]:
                self._decoded[camera] = (message, *_decoded(camera, message))
        troubles = tuple(trouble for _, _, trouble in self._decoded.values() if trouble)
        images = {camera: image for camera, (_, image, _) in self._decoded.items()}
        warned = replace(caption, warnings=caption.warnings + troubles)
        return self._layout.compose(images, warned)


def _same(a: tuple[dict[str, Any], Caption], b: tuple[dict[str, Any], Caption]) -> bool:
    return a[1] == b[1] and all(a[0][camera] is message for camera, message in b[0].items())


def _decoded(camera: str, message: Any) -> tuple[Array | None, str]:
    """Return the image, None when there is none, and what is wrong with it."""
    try:
        return (None if message is None else pixels(message)), ''
    except ValueError as error:
        return None, f'{camera}: {error}'
