"""video: render the picture of a recorded episode, captioned, as an MP4.

    so101 video recordings/20260101_120000_0

From any rosbag2 folder with the suite's image topics, raw or JPEG; with what episode.json says of
it where there is one. Each frame shows the newest image received by its time. Of a time without
any image ten seconds are shown: the rest is likely a jump of the clock.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from so101_episodes.episode import FILE, Episode
from so101_episodes.recorded_bag import Recorded, RecordedBag
from so101_episodes.recorded_episode import find_images
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_view.caption import Caption, of_episode
from so101_view.film import Film
from so101_view.picture import HEIGHT, WIDTH, Layout
from so101_view.video_file import LATER, VideoFile

_PAUSE = 10_000_000_000  # ns without an image that are shown

DESCRIPTION = 'Render a recorded episode as a video: overhead camera, wrist inset, caption.'


@dataclass(frozen=True)
class _Reel:
    """One bag's images by camera, and its episode.json, if there is one."""

    folder: Path
    bag: RecordedBag
    images: dict[str, Recorded]
    episode: Episode | None

    @classmethod
    def load(cls, folder: Path) -> '_Reel':
        """Raises UserError for what holds no image."""
        bag = RecordedBag(folder)
        images = {}
        shown = Layout().cameras
        for camera in shown:
            if recorded := find_images(bag, camera):
                images[camera] = recorded
        if not images:
            raise UserError(f'{folder}: no image of {" or ".join(shown)}; record their topics')
        episode = Episode.load(folder) if (folder / FILE).exists() else None
        return cls(folder, bag, images, episode)

    @property
    def count(self) -> int:
        return sum(recorded.messages for recorded in self.images.values())

    @property
    def layout(self) -> Layout:
        camera, *others = self.images
        return Layout() if others else Layout(camera, None)

    def caption(self, time: int) -> Caption:
        name = self.folder.resolve().name
        return Caption((name,)) if self.episode is None else of_episode(self.episode, name, time)

    def started(self) -> int:
        """Return when the first image was received, ns."""
        return next(self.bag.messages(*self.images.values()))[1]

    def write(self, file: VideoFile, advance: Callable[[], None]) -> None:
        """Append it to the file; `advance` is called for each image."""
        film, last = None, 0
        cameras = {each.topic.name: camera for camera, each in self.images.items()}
        for topic, received, message in self.bag.messages(*self.images.values()):
            if film is None or received > last + _PAUSE:
                film = Film(file, self.layout, received)
            self._write_until(film, received - 1)
            film.images[cameras[topic.name]].add(received, message)
            last = received
            advance()
        assert film is not None
        ended = self.episode.ended if self.episode else last
        self._write_until(film, min(max(last, ended), last + _PAUSE))

    def _write_until(self, film: Film, time: int) -> None:
        while film.next <= time:
            film.caption = self.caption(film.next)
            film.advance(film.next)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error, 130 when it was stopped."""
    given = _parser().parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        run(given.episode, given.out, given.fps)
    except KeyboardInterrupt:
        print('video: stopped; nothing half-written is left', file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f'video: {error}', file=sys.stderr)
        sys.exit(1)


def run(folders: Sequence[Path], out: Path | None, fps: int) -> None:
    """Render each folder to its video.mp4, or all, one after the other, to `out`.

    Raises UserError.
    """
    if out is not None and out.suffix != '.mp4':
        raise UserError(f'--out {out}: the video is an MP4; give a name that ends in .mp4')
    reels = [_Reel.load(folder) for folder in folders]
    files = [(out, reels)] if out else [(reel.folder / 'video.mp4', [reel]) for reel in reels]
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with progress_bar(console) as progress:
        bar = progress.add_task('', total=sum(reel.count for reel in reels))
        for path, parts in files:
            progress.update(bar, description=f'{path.parent.name}/{path.name}')
            seconds = _write(path, parts, fps, lambda: progress.advance(bar))
            console.print(f'written: {path}, {seconds:.1f} s')


def _write(path: Path, reels: Sequence[_Reel], fps: int, advance: Callable[[], None]) -> float:
    """Write one file of these; return its length, s. Raises UserError, and leaves nothing then."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (WIDTH, HEIGHT)
        file = VideoFile(path, size, fps, reels[0].started(), preset=LATER)
        try:
            for reel in reels:
                reel.write(file, advance)
            file.close()
        except BaseException:
            file.discard()
            raise
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}; give another --out') from error
    return file.seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='video', description=DESCRIPTION)
    parser.add_argument(
        'episode', type=Path, nargs='+', help='the folder of an episode, or of a rosbag2 bag'
    )
    parser.add_argument(
        '--out', type=Path, help='one MP4 of them all; default: video.mp4 in each folder'
    )
    parser.add_argument(
        '--fps', type=int, choices=range(1, 61), metavar='1..60', default=30, help='default: 30'
    )
    return parser


if __name__ == '__main__':
    main()
