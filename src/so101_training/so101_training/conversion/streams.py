"""What a bag holds of an episode: when each image was taken, what the joints did and were told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_episodes.joint_reader import JointReader, stamp
from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import RecordedEpisode, checked_stamp, find_images, images_of
from so101_episodes.series import Series
from so101_node.error import UserError
from so101_node.topics import CAMERAS, JOINT_STATES, REFERENCE, Topic

# s by which a stamp may be before the one received before it: one overtook the other on its way.
_MOST_BACK = 0.2

# s between a stamp and its receipt, of half of a stream: an image takes 50 ms, another clock more.
_MOST_AWAY = 0.3


@dataclass(frozen=True)
class Streams:
    """One episode's samples, in nanoseconds and radians.

    `images`: of each camera the stamps of all its images (n,), in the order of receipt.
    `states`, `actions`: times strictly rising. `sampled`: False for actions that are the way
    between the points of trajectories; then there is one at any time, also after the last.
    """

    images: Mapping[str, NDArray[np.int64]]
    states: Series
    actions: Series
    sampled: bool


def cameras(folder: Path) -> list[str]:
    """Return the cameras that a bag has images of; raises UserError when it is broken."""
    bag = RecordedBag(folder)
    return [camera for camera in CAMERAS if find_images(bag, camera)]


def read(folder: Path, wanted: Iterable[str]) -> Streams:
    """Read an episode's samples, all but the images themselves.

    Raises UserError for a broken bag, a topic that is missing, a clock that was set back or is
    another one, and for what is no joint state of the robot.
    """
    bag = RecordedBag(folder)
    states = bag.require(JOINT_STATES)
    reference = bag.find(REFERENCE)
    films = {camera: images_of(bag, camera) for camera in wanted}
    recorded = [*films.values(), states, *([reference] if reference else [])]
    stamps: dict[str, list[int]] = {each.topic.name: [] for each in recorded}
    aways: dict[str, list[int]] = {each.topic.name: [] for each in recorded}
    poses: dict[str, list[NDArray[np.float64]]] = {}
    readers: dict[str, JointReader] = {}
    for each in [states, *([reference] if reference else [])]:
        poses[each.topic.name], readers[each.topic.name] = [], JointReader()
    for topic, received, data in bag.serialized(*recorded):
        times = stamps[topic.name]
        try:
            times.append(checked_stamp(folder, topic, stamp(data), received))
            aways[topic.name].append(received - times[-1])
            if topic.name in readers:
                poses[topic.name].append(readers[topic.name].read(data))
        except ValueError as error:
            raise UserError(f'{topic.name}: {error}; check its publisher') from error
        if len(times) > 1 and times[-2] - times[-1] > _MOST_BACK * 1e9:
            raise UserError(
                f'the time runs back by {(times[-2] - times[-1]) * 1e-9:.2f} s on {topic.name}: '
                'the clock was set while it was recorded; record it again'
            )

    for name, away in aways.items():
        if away and abs(np.median(away)) > _MOST_AWAY * 1e9:
            raise UserError(
                f'{name} is received {np.median(away) * 1e-9:.2f} s after its stamps say: they '
                'are of another clock; set its publisher to system time and record it again'
            )

    def series(topic: Topic) -> Series:
        times = np.array(stamps[topic.name], np.int64)
        kept = rising(times)
        return Series(times[kept], np.reshape(poses[topic.name], (-1, len(JOINTS)))[kept])

    if reference:
        actions, sampled = series(REFERENCE), True
    else:
        told = RecordedEpisode(folder).actions()
        if not told.commanded:
            raise UserError(
                f'it holds no action, neither on {REFERENCE.name} nor as trajectories: what was '
                'measured lags behind what was told, and is none; record that topic'
            )
        actions, sampled = told.series, False
    return Streams(
        images={
            camera: np.array(stamps[film.topic.name], np.int64) for camera, film in films.items()
        },
        states=series(JOINT_STATES),
        actions=actions,
        sampled=sampled,
    )


def rising(stamps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which stamps are after all those before them: the others were overtaken or repeat."""
    before = np.maximum.accumulate(stamps)[:-1]
    return np.concatenate([[True], stamps[1:] > before]) if len(stamps) else np.zeros(0, bool)
