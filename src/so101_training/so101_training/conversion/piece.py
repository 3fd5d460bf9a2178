"""One converted episode on disk, before it is part of a dataset: a folder, whole or not there."""

import json
import shutil
from collections.abc import Callable, Mapping
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


def film(
    folder: Path,
    camera: str,
    numbers: NDArray[np.int64],
    settings: Settings,
    path: Path,
    progress: Callable[[int], None],
) -> Mapping[str, NDArray[np.float64]]:
    """Write one camera's video, of the images of these numbers (n,), and return its statistics.

    `progress` hears how many frames were written; it may raise Stopped, then nothing is left.
    Raises UserError for an image that the policy would refuse.
    """
    bag = RecordedBag(folder)
    recorded = images_of(bag, camera)
    picture = Picture(recorded.topic.name, settings.codec.size)
    wanted, repeats = np.unique(numbers, return_counts=True)
    looked_at = set(sampled(len(numbers)).tolist())
    statistics = ImageStatistics()
    part = path.with_suffix('.part')
    file = VideoFile(part, settings.fps, settings.codec)
    try:
        position = frame = 0
        for number, (topic, _, data) in enumerate(bag.serialized(recorded)):
            if position == len(wanted):
                break
            if number != wanted[position]:
                continue
            message = bag.decode(topic, data)
            times = int(repeats[position])
            try:
                file.write(picture.frame(message), times)
                image: Array | None = None
                for index in range(frame, frame + times):
                    if index in looked_at:
                        image = picture.pixels(message) if image is None else image
                        statistics.add(image)
            except UserError as error:
                raise UserError(f'image {number} of the {camera} camera: {error}') from error
            position += 1
            frame += times
            progress(times)
        file.close()
    except BaseException:
        try:
            file.abandon()
        finally:
            part.unlink(missing_ok=True)
        raise
    sync(part)
    part.rename(path)
    return statistics.result()


def save(
    scratch: Path,
    folder: Path,
    frames: Ticks,
    statistics: Mapping[str, Mapping[str, NDArray[np.float64]]],
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
