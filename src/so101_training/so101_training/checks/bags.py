"""Episodes as bags, read for the checks: those of the suite, or any rosbag2 of the same topics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import from_jpeg, from_message
from so101_description.units import radians_to_dataset
from so101_episodes.episode import FILE, Episode
from so101_episodes.recorded_bag import Recorded, RecordedBag
from so101_episodes.recorded_episode import RecordedEpisode, find_images
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, JOINT_STATES, Topic
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.picture import PictureMeter
from so101_training.checks.take import Pictures, Signal, Take

NAME = 'integrity'

_OF_A_BAG = 'metadata.yaml'


@dataclass(frozen=True)
class BagPiece:
    """One bag: what one process reads at a time. `frames`: how many pictures, about."""

    folder: Path
    number: int
    excluded: tuple[str, ...]
    frames: int


def is_bag(folder: Path) -> bool:
    return (folder / FILE).is_file() or (folder / _OF_A_BAG).is_file()


class Bags:
    """Bags that are checked together, numbered in the order they are given."""

    def __init__(self, folders: Sequence[Path], excluded: Sequence[str] = ()) -> None:
        if odd := set(excluded) - set(CAMERAS):
            raise UserError(
                f'no camera {", ".join(sorted(odd))}; this robot has {", ".join(CAMERAS)}'
            )
        self.folders = list(folders)
        self._excluded = tuple(excluded)

    def pieces(self) -> list[BagPiece]:
        return [
            BagPiece(folder, number, self._excluded, _images_in(folder))
            for number, folder in enumerate(self.folders)
        ]

    def thumbnails(
        self, number: int, camera: str, seconds: Sequence[float]
    ) -> dict[float, NDArray[np.uint8]]:
        """Return the rgb8 pictures of an episode at these seconds, those there are."""
        found: dict[float, NDArray[np.uint8]] = {}
        wanted = np.array(sorted(seconds))
        try:
            bag = RecordedBag(self.folders[number])
            topics = [*_images(bag, ()).values(), *_joints(bag)]
            origin = _origin(bag, topics)
            if (recorded := _images(bag, ()).get(camera)) is None:
                return {}
            for _, _, message in bag.messages(recorded):
                second = (to_nanoseconds(message.header.stamp) - origin) * 1e-9
                near = wanted[np.abs(wanted - second) < 1e-3]
                if len(near):
                    try:
                        found[float(near[0])] = _pixels(message)
                    except ValueError:
                        continue
        except UserError:
            return found  # the checks tell of a broken bag; here there is no picture to show
        return found


def read(piece: BagPiece) -> Take:
    """Return the bag as a take; what is broken in it is told as its faults, never raised."""
    reading = _Reading(piece)
    reading.run()
    return reading.take()


@dataclass
class _Camera:
    meter: PictureMeter = field(default_factory=PictureMeter)
    stamps: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    broken: int = 0


class _Reading:
    def __init__(self, piece: BagPiece) -> None:
        self._piece = piece
        self._faults: list[Finding] = []
        self._cameras: dict[str, _Camera] = {}
        self._states: list[tuple[int, NDArray[np.float64]]] = []
        self._action: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        self._labels: tuple[str, str, str] = ('', 'unlabelled', '')
        self._unnamed = 0

    def run(self) -> None:
        folder = self._piece.folder
        if (folder / FILE).is_file():
            try:
                episode = Episode.load(folder)
                self._labels = episode.task, episode.outcome, episode.reason
            except UserError as error:
                self._fault(BAD, f'{error}')
        try:
            bag = RecordedBag(folder)
            images = _images(bag, self._piece.excluded)
            self._read(bag, images)
        except UserError as error:
            self._fault(BAD, f'{error}')
            return
        try:
            whole = RecordedEpisode(folder)
            if not self._labels[0]:
                self._labels = whole.task, *self._labels[1:]
            actions = whole.actions()
            self._action = actions.series.times, radians_to_dataset(actions.series.values)
            if not actions.commanded:
                self._fault(
                    DOUBTFUL,
                    'nothing tells what the arm was told: its measured motion is taken for the '
                    'action; record arm_controller/reference',
                )
        except UserError as error:
            self._fault(BAD, f'{error}')

    def _read(self, bag: RecordedBag, images: Mapping[str, Recorded]) -> None:
        names = {recorded.topic.name: camera for camera, recorded in images.items()}
        self._cameras = {camera: _Camera() for camera in images}
        joints = _joints(bag)
        if not joints:
            self._fault(BAD, 'it holds no joint_states; leave it out')
        for topic, received, message in bag.messages(*images.values(), *joints):
            stamp = to_nanoseconds(message.header.stamp)
            if topic is JOINT_STATES:
                self._take_joints(stamp, message)
            else:
                self._take_image(self._cameras[names[topic.name]], topic, stamp, received, message)

    def _take_joints(self, stamp: int, message: Any) -> None:
        try:
            pose = joint_positions(list(message.name), message.position.tolist())
        except UserError as error:
            self._unnamed += 1
            if self._unnamed == 1:
                self._fault(BAD, f'joint_states: {error}')
            return
        self._states.append((stamp, pose))

    def _take_image(
        self, camera: _Camera, topic: Topic, stamp: int, received: int, message: Any
    ) -> None:
        try:
            if hasattr(message, 'encoding'):
                luma = cv2.cvtColor(from_message(message), cv2.COLOR_RGB2GRAY)
            else:
                luma = _grey(message.data.tobytes())
        except ValueError:
            camera.broken += 1
            return
        camera.meter.feed(luma)  # type: ignore[arg-type]
        camera.stamps.append(stamp)
        camera.arrived.append(received)

    def take(self) -> Take:
        stamps = [camera.stamps[0] for camera in self._cameras.values() if camera.stamps]
        stamps += [self._states[0][0]] if self._states else []
        origin = min(stamps, default=0)
        pictures = {name: self._pictures(name, c, origin) for name, c in self._cameras.items()}
        state = self._signal(origin)
        action = None
        if self._action is not None:
            times, values = self._action
            action = Signal(_seconds(times, origin), values)
        ends = [float(p.seconds[-1]) for p in pictures.values() if len(p.seconds)]
        ends += [float(state.seconds[-1])] if state else []
        task, outcome, reason = self._labels
        return Take(
            self._piece.number, self._piece.folder.name, (task,) if task else (), outcome, reason,
            None, max(ends, default=0.0), state, action, pictures, tuple(self._faults),
        )  # fmt: skip

    def _pictures(self, name: str, camera: _Camera, origin: int) -> Pictures:
        stamps = np.array(camera.stamps, dtype=np.int64)
        self._look_for_backward(f'the {name} pictures', stamps, name)
        if camera.broken:
            self._fault(
                BAD if camera.broken > 1 else DOUBTFUL,
                f'{camera.broken} pictures of the {name} camera cannot be decoded; leave it out',
                name,
            )
        return Pictures(
            _seconds(stamps, origin),
            camera.meter.finish(),
            arrived=_seconds(np.array(camera.arrived, dtype=np.int64), origin),
            damaged=camera.broken,
        )

    def _signal(self, origin: int) -> Signal | None:
        stamps = np.array([stamp for stamp, _ in self._states], dtype=np.int64)
        self._look_for_backward('joint_states', stamps)
        stamps, first = np.unique(stamps, return_index=True)
        if len(stamps) < 2:
            return None
        values = np.array([self._states[i][1] for i in first])
        return Signal(_seconds(stamps, origin), radians_to_dataset(values))

    def _look_for_backward(self, what: str, stamps: NDArray[np.int64], camera: str = '') -> None:
        back = np.flatnonzero(np.diff(stamps) < 0)
        if len(back):
            by = -float(np.diff(stamps).min()) * 1e-6
            self._fault(
                BAD,
                f'the stamps of {what} run backwards {len(back)} times, by up to {by:.0f} ms; '
                'leave it out, and look at the clock of its source',
                camera,
            )

    def _fault(self, severity: str, text: str, camera: str = '') -> None:
        self._faults.append(Finding(NAME, self._piece.number, severity, text, camera))


def _seconds(stamps: NDArray[np.int64], origin: int) -> NDArray[np.float64]:
    return (stamps - origin).astype(np.float64) * 1e-9


def _images(bag: RecordedBag, excluded: Sequence[str]) -> dict[str, Recorded]:
    looked_at = [camera for camera in CAMERAS if camera not in excluded]
    return {camera: images for camera in looked_at if (images := find_images(bag, camera))}


def _joints(bag: RecordedBag) -> list[Recorded]:
    return [recorded] if (recorded := bag.find(JOINT_STATES)) else []


def _origin(bag: RecordedBag, topics: Sequence[Recorded]) -> int:
    """Return the nanoseconds from which the seconds of a take are counted."""
    first: dict[str, int] = {}
    for topic, _, message in bag.messages(*topics):
        first.setdefault(topic.name, to_nanoseconds(message.header.stamp))
        if len(first) == len(topics):
            break
    return min(first.values(), default=0)


def _grey(data: bytes) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if pixels is None:
        raise ValueError('not a JPEG image')
    return pixels  # type: ignore[return-value]


def _pixels(message: Any) -> NDArray[np.uint8]:
    if hasattr(message, 'encoding'):
        return from_message(message)
    return from_jpeg(message.data.tobytes())


def _images_in(folder: Path) -> int:
    try:
        bag = RecordedBag(folder)
        return sum(recorded.messages for recorded in _images(bag, ()).values()) or 1
    except UserError:
        return 1
