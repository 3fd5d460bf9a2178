"""The video node: what the cameras see, captioned and with sound, into one file a run."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from math import nan
from pathlib import Path
from tempfile import TemporaryFile

from diagnostic_msgs.msg import DiagnosticArray

from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS
from so101_view.caption import LiveCaption
from so101_view.film import Film
from so101_view.microphone import Microphone
from so101_view.picture import HEIGHT, WIDTH, Layout
from so101_view.sound import Samples, Sound
from so101_view.video_file import VideoFile

# Nanoseconds that the film is behind: what takes no longer to arrive is in time.
_DELAY = 500_000_000

_TAKE_PERIOD = 0.03  # seconds between two looks for images, of which the middleware keeps ten
_LOOK_PERIOD = 1.0  # seconds between two looks for cameras

# Nanoseconds from capture to now. An image that seems older, or newer than now, was stamped by
# another clock.
_OLDEST = 1_000_000_000


@dataclass(frozen=True)
class Parameters:
    directory: str = parameter('recordings', 'Folder of the video')
    prefix: str = parameter('infer', 'The file is <prefix>_<date>_<time>.mp4')
    microphone: str = parameter(
        '',
        'An ALSA device as arecord -L lists them, default for instance, or file:<path>, a FIFO '
        'that another program writes, s16le, mono, 48 kHz; empty: no sound',
    )
    fps: int = parameter(30, 'Frames a second', low=1, high=60)
    cameras: list[str] = parameter(
        list(CAMERAS), 'Cameras that the robot has', choices=tuple(CAMERAS)
    )


class VideoNode(Node):
    """The film begins with the first image; a thread of its own writes it."""

    def __init__(self) -> None:
        super().__init__('video')
        self._settings = declare(self, Parameters)
        self._directory = Path(self._settings.directory)
        if '/' in self._settings.prefix:
            raise UserError(f'parameter prefix: {self._settings.prefix} has a /; it is no folder')
        both = 'overhead' in self._settings.cameras
        self._layout = Layout() if both else Layout('wrist', None)
        self._mailboxes: dict[str, list[Mailbox]] = {camera: [] for camera in self._layout.cameras}
        self._caption = LiveCaption()
        self._film: Film | None = None
        self._file: VideoFile | None = None
        self._failure = ''
        self._sound: Sound | None = None
        self._microphone: Microphone | None = None
        if self._settings.microphone:
            self._microphone = Microphone(self._settings.microphone, self._hear)
        self._looked = 0  # when images were last taken: all that came before are in the film
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name='writer')
        self.subscribe(DIAGNOSTICS, self._take_health)
        self.create_timer(_TAKE_PERIOD, self._take_images)
        self.create_timer(_LOOK_PERIOD, self._look_for_cameras)
        Diagnostics(self, self._statuses)

    def open(self) -> None:
        self._check_directory()
        if self._microphone is not None:
            self._microphone.open()
        self._look_for_cameras()

    def close(self) -> None:
        self._take_images()
        self._closing.set()
        if self._film is None:
            self.get_logger().info(self._failure or 'no camera gave an image: no video')
        else:
            self._writer.join()
        if self._microphone is not None:
            self._microphone.close()

    # What comes in.

    def _look_for_cameras(self) -> None:
        """Subscribe to raw images, to JPEG where there are only these.

        Of two cameras at 30 Hz, raw images take 5 % of a core, JPEG 14 %.
        """
        for camera, mailboxes in self._mailboxes.items():
            topics = (CAMERAS[camera].image, CAMERAS[camera].compressed)
            published = [topic for topic in topics if self.count_publishers(topic.name)]
            taken = {mailbox.name for mailbox in mailboxes}
            if not taken & {self.resolve_topic_name(topic.name) for topic in published}:
                mailboxes += [Mailbox(self, topic) for topic in published[:1]]

    def _take_images(self) -> None:
        for camera, mailboxes in self._mailboxes.items():
            for mailbox in mailboxes:
                for message, info in mailbox.take():
                    stamp = to_nanoseconds(message.header.stamp)
                    captured = time.monotonic_ns() - _age(stamp, info['received_timestamp'])
                    if self._film is None and not self._failure:
                        self._begin(captured)
                    if self._film is not None:
                        self._film.images[camera].add(captured, message)
        self._looked = time.monotonic_ns()
        if self._film is not None:
            self._film.caption = self._caption.at(self._looked)

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self._caption.hear(status.name, status.message, values, time.monotonic_ns())

    def _hear(self, samples: Samples, arrived: int) -> None:
        if self._sound is not None:
            self._sound.add(samples, arrived)

    # What is written.

    def _begin(self, started: int) -> None:
        """Begin the film with an image captured at `started`, ns of the monotonic clock."""
        wall = time.time_ns() - (time.monotonic_ns() - started)
        sound = self._microphone is not None
        try:
            file = VideoFile(self._path(), (WIDTH, HEIGHT), self._settings.fps, wall, sound=sound)
        except OSError as error:
            self._fail(f'no video: cannot write into {self._directory}: {error.strerror}')
            return
        self._file = file
        self._sound = Sound(started) if sound else None
        self._film = Film(file, self._layout, started, self._sound)
        self._writer.start()

    def _path(self) -> Path:
        stem = f'{self._settings.prefix}_{datetime.now():%Y%m%d_%H%M%S}'
        names = (f'{stem}.mp4' if n == 0 else f'{stem}_{n}.mp4' for n in count())
        return next(p for name in names if not (p := self._directory / name).exists())

    def _write(self) -> None:
        assert self._film is not None and self._file is not None
        film, file = self._film, self._file
        try:
            while not self._closing.wait(1 / self._settings.fps):
                film.advance(self._looked - _DELAY)
            film.advance(self._looked)
            file.close()
            self.get_logger().info(f'{file.path}: {file.seconds:.1f} s')
        except OSError as error:
            file.abandon()
            self._fail(
                f'the video ends after {file.seconds:.1f} s: {error.strerror}; what there is of '
                f'it is in {file.partial}'
            )

    def _fail(self, why: str) -> None:
        """Say so, now and on /diagnostics; what else runs on the graph goes on."""
        self._failure = why
        self.get_logger().error(why)

    def _check_directory(self) -> None:
        """Make it when it is absent; raise UserError when nothing can be written there."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self._directory):
                pass
        except OSError as error:
            raise UserError(
                f'parameter directory: cannot write into {self._directory}: {error.strerror}'
            ) from error

    def _statuses(self) -> list[Status]:
        film, file, sound = self._film, self._file, self._sound
        no_sound = self._microphone.trouble if self._microphone is not None else ''
        values: dict[str, str | float | int] = {
            'path': str(file.path) if file else '',
            'started': file.started if file else 0,
            'seconds': file.seconds if file else 0.0,
            'frames': file.frames if file else 0,
            'repeated': film.repeated if film else 0,
            'encode_p50_ms': film.encode.percentile(50) * 1e3 if film else nan,
            'encode_p95_ms': film.encode.percentile(95) * 1e3 if film else nan,
            'sound': 'off' if self._microphone is None else 'silence' if no_sound else 'on',
            'sound_reason': no_sound,
            'sound_offset_ms': sound.offset * 1e3 if sound else nan,
        }
        if self._failure:
            return [Status('video/file', Level.ERROR, self._failure, values)]
        if no_sound:
            microphone = f'no sound from {self._settings.microphone}: {no_sound}'
            return [Status('video/file', Level.WARN, microphone, values)]
        message = f'{file.path}: {file.seconds:.0f} s' if file else 'waiting for the first image'
        return [Status('video/file', Level.OK, message, values)]


def _age(stamp: int, received: int) -> int:
    """Return the ns since the capture, or since the receipt when the stamp says nothing."""
    now = time.time_ns()
    return next((now - at for at in (stamp, received) if 0 <= now - at < _OLDEST), 0)


def main() -> None:
    run(VideoNode)


if __name__ == '__main__':
    main()
