"""One converted episode on disk, before it is part of a dataset: a folder, whole or not there."""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import Array
from so101_episodes.bag import sync, sync_all
from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import images_of
from so101_node.error import UserError
from so101_training.conversion.image_statistics import ImageStatistics, sampled
from so101_training.conversion.manifest import counts
from so101_training.conversion.streams import read
from so101_training.conversion.ticks import Remark, Ticks, ticks
from so101_training.conversion.video import Codec, Picture, VideoFile

_Statistics = Mapping[str, NDArray[np.float64]]

_FRAMES = 'frames.npz'
_NOTE = 'piece.json'


# s of an episode, and of a file of several. LeRobot 0.6.1 compares a frame's time with that of the
# file in 32-bit floats, which are 6e-5 s apart up to 1024 s and 1.2e-4 beyond; its tolerance is
# 1e-4 s.
LONGEST = 1000


class Stopped(Exception):
    """It was asked to stop; what is complete stays."""


@dataclass(frozen=True)
class Settings:
    """What decides how an episode is converted. `max_age`, `max_skew`: seconds."""

    fps: int
    cameras: tuple[str, ...]
    max_age: float
    max_skew: float
    codec: Codec

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON has them, which is how they are compared."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


@dataclass(frozen=True)
class Piece:
    """`frames` of them. `remarks`: how many, by stream and kind. Its videos are `<camera>.mp4`.

    What it holds is read when it is asked for: a dataset may have thousands.
    """

    folder: Path
    frames: int
    remarks: Mapping[str, Mapping[str, int]]

    def video(self, camera: str) -> Path:
        return self.folder / f'{camera}.mp4'

    def joints(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return states and actions, (n, 6) each, dataset units."""
        with np.load(self.folder / _FRAMES, allow_pickle=False) as arrays:
            return arrays['states'], arrays['actions']

    def contents(self) -> tuple[dict[str, dict[str, NDArray[np.float64]]], list[Remark]]:
        """Return the statistics of each camera's images, as LeRobot's, and the remarks."""
        note = json.loads((self.folder / _NOTE).read_text())
        statistics = {
            camera: {name: np.array(value) for name, value in found.items()}
            for camera, found in note['statistics'].items()
        }
        return statistics, [Remark(*remark) for remark in note['remarks']]

    @classmethod
    def load(cls, folder: Path) -> 'Piece | None':
        """Return the piece in the folder, None when there is none."""
        if not (folder / _NOTE).is_file():
            return None
        note = json.loads((folder / _NOTE).read_text())
        return cls(folder, note['frames'], counts(Remark(*r) for r in note['remarks']))


def plan(folder: Path, settings: Settings) -> Ticks:
    """Choose an episode's frames; raises UserError when they are not to be had."""
    streams = read(folder, settings.cameras)
    found = ticks(streams, settings.fps, settings.max_age, settings.max_skew)
    if (seconds := len(found.times) / settings.fps) > LONGEST:
        raise UserError(
            f'it lasts {seconds:.0f} s; LeRobot keeps the times of frames in 32 bits, and beyond '
            f'{LONGEST} s no longer finds each frame: record shorter episodes'
        )
    return found


def make(source: Path, settings: Settings, folder: Path, progress: Callable[[int], None]) -> Piece:
    """Convert a recorded episode to a piece in `folder`, which appears when it is whole.

    `progress` hears how many frames of a camera were written; it may raise Stopped, then nothing
    is left. Raises UserError as `plan`, and for an image that the policy would refuse.
    """
    frames = plan(source, settings)
    scratch = folder.with_suffix('.scratch')
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        statistics = _film(source, frames, settings, scratch, progress)
        return _save(scratch, folder, frames, statistics)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _film(
    source: Path,
    frames: Ticks,
    settings: Settings,
    scratch: Path,
    progress: Callable[[int], None],
) -> dict[str, _Statistics]:
    """Write the video of each camera, and return the statistics of its images."""
    bag = RecordedBag(source)
    recorded = {camera: images_of(bag, camera) for camera in settings.cameras}
    films: dict[str, _Film] = {}
    with ExitStack() as files:
        for camera, each in recorded.items():
            file = VideoFile(scratch / f'{camera}.mp4', settings.fps, settings.codec)
            picture = Picture(each.topic.name, settings.codec.size)
            numbers = frames.images[camera]
            films[each.topic.name] = _Film(camera, numbers, picture, files.enter_context(file))
        # All cameras at once: each reading of a bag costs a twentieth of what encoding one costs.
        for topic, _, data in bag.serialized(*recorded.values()):
            if (film := films[topic.name]).comes():
                progress(film.take(bag.decode(topic, data)))
            elif all(film.done for film in films.values()):
                break
    return {film.camera: film.statistics.result() for film in films.values()}


class _Film:
    """One camera's video being written, of the images of these numbers (n,), which never fall."""

    def __init__(
        self, camera: str, numbers: NDArray[np.int64], picture: Picture, file: VideoFile
    ) -> None:
        self.camera = camera
        self.statistics = ImageStatistics()
        self._picture = picture
        self._file = file
        wanted, repeats = np.unique(numbers, return_counts=True)
        self._wanted = dict(zip(wanted.tolist(), repeats.tolist(), strict=True))
        self._looked_at = set(sampled(len(numbers)).tolist())
        self._number = -1
        self._frame = 0

    @property
    def done(self) -> bool:
        return not self._wanted

    def comes(self) -> bool:
        """Return whether the next image is wanted."""
        self._number += 1
        return self._number in self._wanted

    def take(self, message: Any) -> int:
        """Write that image; return of how many frames it is. UserError when it is not one."""
        times = self._wanted.pop(self._number)
        try:
            self._file.write(self._picture.frame(message), times)
            image: Array | None = None
            for _ in self._looked_at.intersection(range(self._frame, self._frame + times)):
                image = self._picture.pixels(message) if image is None else image
                self.statistics.add(image)
        except UserError as error:
            raise UserError(
                f'image {self._number} of the {self.camera} camera: {error}'
            ) from error
        self._frame += times
        return times


def _save(
    scratch: Path,
    folder: Path,
    frames: Ticks,
    statistics: Mapping[str, _Statistics],
) -> Piece:
    """Make a piece of what is in `scratch`, where its videos are, and move it to `folder`."""
    states, actions = frames.states.astype(np.float32), frames.actions.astype(np.float32)
    np.savez(scratch / _FRAMES, states=states, actions=actions)
    note = {
        'frames': len(states),
        'statistics': {
            camera: {name: value.tolist() for name, value in found.items()}
            for camera, found in statistics.items()
        },
        'remarks': frames.remarks,
    }
    (scratch / _NOTE).write_text(json.dumps(note))
    sync_all(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    sync(folder.parent)
    return Piece(folder, len(states), counts(frames.remarks))
