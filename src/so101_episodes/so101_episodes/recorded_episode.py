"""A recorded episode, read to be played: the actions that were taken, and what was seen."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from so101_cameras.image import Array, from_jpeg, from_message
from so101_description.joints import JOINTS
from so101_episodes.episode import FILE, Episode
from so101_episodes.powered_arm import Pose
from so101_episodes.recorded_bag import Recorded, RecordedBag
from so101_episodes.series import Series
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, JOINT_STATES, JOINT_TRAJECTORY, REFERENCE, TASK, Topic

# Nanoseconds between capture and receipt. A stamp that is further off is of another clock, and
# cannot be moved to now.
_OTHER_CLOCK = 10_000_000_000


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


@dataclass(frozen=True)
class Actions:
    """What the arm was told, in radians, as the topic `source` says it."""

    source: str
    series: Series

    @property
    def commanded(self) -> bool:
        """False when nothing was told: then it is what was measured, which lags behind."""
        return self.source != JOINT_STATES.name

    @property
    def sampled(self) -> bool:
        """Whether a time without an action is one of which nothing is known.

        Trajectories are not sampled: between them the arm holds.
        """
        return self.source != JOINT_TRAJECTORY.name


class RecordedEpisode:
    """An episode's folder, or any rosbag2 folder with the same topics.

    `task`: the instruction, episode.json's, else the last on its topic, else none. Who needs
    `actions` or `observations` asks for them: a bag may lack either.
    """

    def __init__(self, folder: Path) -> None:
        """Raises UserError for what is no finished bag."""
        self.folder = folder
        self._bag = RecordedBag(folder)
        self.task = self._task()

    def actions(self) -> Actions:
        """Return what the servos were told, else the trajectories, else what was measured.

        Raises UserError when there are less than two, or one that is no pose of the robot.
        """
        if recorded := self._bag.find(REFERENCE):
            series = self._joint_series(recorded)
        elif recorded := self._bag.find(JOINT_TRAJECTORY):
            series = self._executed(recorded)
        else:
            recorded = self._bag.require(JOINT_STATES)
            series = self._joint_series(recorded)
        if len(series.times) < 2:
            raise UserError(f'{self.folder}: {recorded.name} says one action, which is no motion')
        return Actions(recorded.topic.name, series)

    def observations(self, cameras: Iterable[str] = tuple(CAMERAS)) -> 'Observations':
        """Return what these cameras and the joints saw; raises UserError when one saw nothing."""
        return Observations(self._bag, cameras)

    def _task(self) -> str:
        if (self.folder / FILE).exists():
            return Episode.load(self.folder).task
        task = ''
        if recorded := self._bag.find(TASK):
            for _, _, message in self._bag.messages(recorded):
                task = message.data
        return task

    def _joint_series(self, recorded: Recorded) -> Series:
        found = {}
        for topic, received, message in self._bag.messages(recorded):
            stamp = _stamp(self.folder, topic, message, received)
            found[stamp] = self._pose(topic, message.name, message.position)
        times = sorted(found)
        return _series(times, [found[time] for time in times])

    def _executed(self, recorded: Recorded) -> Series:
        """Return what the trajectories say: each replaces those before it, from its start on.

        A stamp of zero means when it was received, as for the controller.
        """
        times: list[int] = []
        poses: list[Pose] = []
        for topic, received, message in self._bag.messages(recorded):
            stamped = to_nanoseconds(message.header.stamp)
            start = _stamp(self.folder, topic, message, received) if stamped else received
            due = [start + to_nanoseconds(point.time_from_start) for point in message.points]
            if not due or any(later <= earlier for earlier, later in pairwise(due)):
                continue  # the driver refuses it, too
            told = [
                self._pose(topic, message.joint_names, point.positions) for point in message.points
            ]
            kept = bisect_left(times, start)
            if kept and due[0] > start:  # there it begins, wherever the arm is
                told.insert(0, _between(times, poses, kept, start))
                due.insert(0, start)
            times[kept:], poses[kept:] = due, told
        return _series(times, poses)

    def _pose(self, topic: Topic, names: Any, positions: Any) -> Pose:
        try:
            return joint_positions(names, positions)
        except UserError as error:
            raise UserError(f'{self.folder}: {topic.name}: {error}') from None


class Observations:
    """What the policy saw. `first`: of each camera and of the joints, the first.

    `images`: how many there are; `started`, `ended`: when the first and the last message was
    received, nanoseconds.
    """

    def __init__(self, bag: RecordedBag, cameras: Iterable[str]) -> None:
        self._bag = bag
        images = {camera: images_of(bag, camera) for camera in cameras}
        self._cameras = {each.topic.name: camera for camera, each in images.items()}
        self._recorded = [*images.values(), bag.require(JOINT_STATES)]
        self.images = sum(each.messages for each in images.values())
        first: dict[str, Event] = {}
        times = []
        for topic, received, message in bag.messages(*self._recorded):
            times.append(received)
            if topic.name not in first:
                first[topic.name] = self._event(topic, received, message)
        self.first = tuple(first.values())
        self.started, self.ended = min(times), max(times)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        return (self.ended - self.started) * 1e-9

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield every image and joint state with the nanoseconds at which it was received.

        Raises UserError for a message that cannot be decoded.
        """
        for topic, received, message in self._bag.messages(*self._recorded):
            yield received, self._event(topic, received, message)

    def _event(self, topic: Topic, received: int, message: Any) -> Event:
        stamp = _stamp(self._bag.folder, topic, message, received)
        if topic is JOINT_STATES:
            return Reading(stamp, tuple(message.name), tuple(message.position.tolist()))
        camera = self._cameras[topic.name]
        try:
            if topic is CAMERAS[camera].compressed:
                return Frame(camera, stamp, from_jpeg(message.data.tobytes()))
            return Frame(camera, stamp, from_message(message))
        except ValueError as error:
            raise UserError(f'{self._bag.folder}: {topic.name}: {error}') from error


def find_images(bag: RecordedBag, camera: str) -> Recorded | None:
    """Return a camera's raw images where there are some, else the JPEG ones, else None."""
    topics = CAMERAS[camera]
    return bag.find(topics.image) or bag.find(topics.compressed)


def images_of(bag: RecordedBag, camera: str) -> Recorded:
    """Return the same; raises UserError when there are none."""
    if recorded := find_images(bag, camera):
        return recorded
    topics = CAMERAS[camera]
    raise UserError(
        f'{bag.folder}: no images of the {camera} camera, neither on {topics.image.name} '
        f'nor on {topics.compressed.name}; record them'
    )


def _stamp(folder: Path, topic: Topic, message: Any, received: int) -> int:
    return checked_stamp(folder, topic, to_nanoseconds(message.header.stamp), received)


def checked_stamp(folder: Path, topic: Topic, stamp: int, received: int) -> int:
    """Return the stamp of a message received then; UserError when they are of two clocks."""
    if abs(received - stamp) > _OTHER_CLOCK:
        raise UserError(
            f'{folder}: a message of {topic.name} is stamped {stamp * 1e-9:.3f} s and was '
            f'received at {received * 1e-9:.3f} s; both must be of the same clock'
        )
    return stamp


def _between(times: list[int], poses: list[Pose], index: int, time: int) -> Pose:
    """Return the pose at `time`, which is before that of `index`, or after the last."""
    if index == len(times):
        return poses[-1]
    part = (time - times[index - 1]) / (times[index] - times[index - 1])
    return poses[index - 1] + part * (poses[index] - poses[index - 1])


def _series(times: list[int], poses: list[Pose]) -> Series:
    return Series(np.array(times, dtype=np.int64), np.reshape(poses, (-1, len(JOINTS))))
