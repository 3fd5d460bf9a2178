"""A recorded episode, read to be played: what the policy saw, and the actions that were taken."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from backports import zstd
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError

from so101_cameras.image import Array, from_jpeg, from_message
from so101_description.joints import JOINTS
from so101_description.units import radians_to_dataset
from so101_episodes.bag import message_definitions
from so101_episodes.episode import FILE, PARTIAL, Episode
from so101_episodes.prediction_error import Series
from so101_node.error import UserError
from so101_node.topics import CAMERAS, JOINT_STATES, JOINT_TRAJECTORY, REFERENCE, TASK, Topic

# Nanoseconds between capture and receipt. A stamp that is further off is of another clock, and
# cannot be moved to now.
_OTHER_CLOCK = 10_000_000_000

# What rosbags lets through of a file that is cut or damaged, found by damaging some.
_BROKEN = (
    ReaderError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    MemoryError,
    AssertionError,
    RuntimeError,
    struct.error,
    apsw.Error,
    zstd.ZstdError,
)


@dataclass(frozen=True)
class Frame:
    """One camera's image, rgb8, captured at `stamp` nanoseconds."""

    camera: str
    stamp: int
    pixels: Array


@dataclass(frozen=True)
class Reading:
    """One joint state, radians, measured at `stamp` nanoseconds."""

    stamp: int
    names: tuple[str, ...]
    positions: tuple[float, ...]


Event = Frame | Reading


class RecordedEpisode:
    """An episode's folder, or any rosbag2 folder with the same topics.

    `actions`, dataset units, come from the topic `source`: what the servos were told, else the
    trajectories, else, which is not the same, what was measured. `first` holds the first image of
    each camera and the first joint state, `images` how many images there are, `started` and
    `ended` when the first and the last message was received.
    """

    def __init__(self, folder: Path) -> None:
        """Read everything but the images; raises UserError for what cannot be played."""
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder; give the folder of an episode')
        self.folder = folder
        self._typestore: Any = message_definitions()
        with self._reading() as reader:
            self._cameras = {name: self._image_topic(reader, name) for name in CAMERAS}
            self._played = [*self._cameras.values(), self._require(reader, JOINT_STATES)]
            self.source, self.actions = self._actions(reader)
            self.task = self._task(reader)
        self.images = sum(c.msgcount for c in self._cameras.values())
        self.first, self.started, self.ended = self._overview()

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        return (self.ended - self.started) * 1e-9

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield every image and joint state with the nanoseconds at which it was received.

        Raises UserError for a message that cannot be decoded.
        """
        for connection, received, data in self._messages():
            yield received, self._event(connection, received, data)

    def _messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        with self._reading() as reader:
            topics = {c.topic for c in self._played}
            yield from reader.messages([c for c in reader.connections if c.topic in topics])

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        try:
            with Reader(self.folder) as reader:
                yield reader
        except FileNotFoundError as error:
            why = (
                'it was not finished'
                if self.folder.parent.name == PARTIAL
                else 'it has no metadata.yaml'
            )
            raise UserError(
                f'{self.folder} is not a bag: {why}; give the folder of a finished episode'
            ) from error
        except _BROKEN as error:
            raise self._broken(error) from error

    def _image_topic(self, reader: Reader, camera: str) -> Connection:
        """Return the raw images where there are some, else the JPEG ones."""
        topics = CAMERAS[camera]
        for topic in (topics.image, topics.compressed):
            if connection := _find(reader, topic):
                return connection
        raise UserError(
            f'{self.folder}: no images of the {camera} camera, neither on {topics.image.name} '
            f'nor on {topics.compressed.name}; record them'
        )

    def _require(self, reader: Reader, topic: Topic) -> Connection:
        connection = _find(reader, topic)
        if connection is None:
            raise UserError(f'{self.folder}: no message on {topic.name}; record it')
        return connection

    def _actions(self, reader: Reader) -> tuple[str, Series]:
        if connection := _find(reader, REFERENCE):
            topic, series = REFERENCE, self._joint_series(reader, connection)
        elif connection := _find(reader, JOINT_TRAJECTORY):
            topic, series = JOINT_TRAJECTORY, self._executed(reader, connection)
        else:
            connection = self._require(reader, JOINT_STATES)
            topic, series = JOINT_STATES, self._joint_series(reader, connection)
        if len(series.times) < 2:
            raise UserError(f'{self.folder}: one action on {topic.name} is nothing to compare')
        return topic.name, series

    def _joint_series(self, reader: Reader, connection: Connection) -> Series:
        found = {}
        for _, received, data in reader.messages([connection]):
            message = self._decode(connection, data)
            stamp = self._stamp(message, received, connection.topic)
            found[stamp] = self._pose(message.name, message.position, connection.topic)
        return _series(found)

    def _executed(self, reader: Reader, connection: Connection) -> Series:
        """Return what the trajectories say: each replaces those before it, from its start on.

        A stamp of zero means when it was received, as for the controller.
        """
        points: dict[int, list[float]] = {}
        for _, received, data in reader.messages([connection]):
            message = self._decode(connection, data)
            start = _nanoseconds(message.header.stamp) or received
            points = {time: pose for time, pose in points.items() if time < start}
            for point in message.points:
                points[start + _nanoseconds(point.time_from_start)] = self._pose(
                    message.joint_names, point.positions, connection.topic
                )
        return _series(points)

    def _pose(self, names: list[str], positions: Any, topic: str) -> list[float]:
        found = dict(zip(names, positions, strict=False))
        if missing := [joint for joint in JOINTS if joint not in found]:
            raise UserError(f'{self.folder}: {topic} lacks {", ".join(missing)}')
        pose = [float(found[joint]) for joint in JOINTS]
        if not np.isfinite(pose).all():
            raise UserError(f'{self.folder}: {topic} holds a position that is not finite: {pose}')
        return pose

    def _stamp(self, message: Any, received: int, topic: str) -> int:
        stamp = _nanoseconds(message.header.stamp)
        if abs(received - stamp) > _OTHER_CLOCK:
            raise UserError(
                f'{self.folder}: a message of {topic} is stamped {stamp * 1e-9:.3f} s and was '
                f'received at {received * 1e-9:.3f} s; both must be of the same clock'
            )
        return stamp

    def _task(self, reader: Reader) -> str:
        """Return the instruction: episode.json's, else the last on its topic, else none."""
        if (self.folder / FILE).exists():
            return Episode.load(self.folder).task
        task = ''
        if connection := _find(reader, TASK):
            for _, _, data in reader.messages([connection]):
                task = self._decode(connection, data).data
        return task

    def _overview(self) -> tuple[tuple[Event, ...], int, int]:
        first: dict[str, Event] = {}
        times = []
        for connection, received, data in self._messages():
            times.append(received)
            if connection.topic not in first:
                first[connection.topic] = self._event(connection, received, data)
        counted = sum(connection.msgcount for connection in self._played)
        if len(times) < counted:
            raise UserError(
                f'{self.folder}: the bag is broken: it holds {len(times)} images and joint '
                f'states, its metadata.yaml says {counted}; copy it again'
            )
        return tuple(first.values()), min(times), max(times)

    def _decode(self, connection: Connection, data: bytes) -> Any:
        try:
            return self._typestore.deserialize_cdr(data, connection.msgtype)
        except SerdeError as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> UserError:
        text = ' '.join(str(error).split()) or type(error).__name__
        return UserError(f'{self.folder}: the bag is broken: {text}; copy it again')

    def _event(self, connection: Connection, received: int, data: bytes) -> Event:
        message = self._decode(connection, data)
        stamp = self._stamp(message, received, connection.topic)
        if connection.msgtype == JOINT_STATES.type_name:
            return Reading(stamp, tuple(message.name), tuple(message.position.tolist()))
        camera = next(name for name, c in self._cameras.items() if c.topic == connection.topic)
        try:
            if connection.topic.endswith(CAMERAS[camera].compressed.name):
                return Frame(camera, stamp, from_jpeg(message.data.tobytes()))
            return Frame(camera, stamp, from_message(message))
        except ValueError as error:
            raise UserError(f'{self.folder}: {connection.topic}: {error}') from error


def _find(reader: Reader, topic: Topic) -> Connection | None:
    """Return the bag's topic, None when it holds no message of it."""
    for connection in reader.connections:
        if connection.topic.lstrip('/') == topic.name and connection.msgcount:
            if connection.msgtype != topic.type_name:
                raise UserError(
                    f'{reader.path}: {connection.topic} is a {connection.msgtype}, '
                    f'expected {topic.type_name}'
                )
            return connection
    return None


def _nanoseconds(time: Any) -> int:
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def _series(radians: dict[int, list[float]]) -> Series:
    times = sorted(radians)
    return Series(
        np.array(times, dtype=np.int64),
        radians_to_dataset(np.reshape([radians[time] for time in times], (-1, len(JOINTS)))),
    )
