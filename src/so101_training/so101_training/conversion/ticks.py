"""Which samples make a dataset's frames: ticks of 1/fps, each as the live policy sees it; pure.

At each tick the messages stamped until then are handed to so101_policy.observation.Latest, the
very code that joins images and joint states for the policy, and what it chooses is the frame. So
nothing is later than its tick, and training sees what inference will see: images of one time, the
state interpolated to that time. The action is the newest at or before it, for that is the time
which the policy's first action belongs to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_description.units import radians_to_dataset
from so101_node.error import UserError
from so101_policy.features import ACTION, STATE, image_feature
from so101_policy.observation import Choice, Latest
from so101_training.conversion.streams import Streams, rising

# Of the density of stamps in a period of 33 ms: looked at every half a millisecond, a stamp counts
# for 5 ms to either side.
_PLACES = 64
_SHARPNESS = 4.0

REPEATED, LATE, DROPPED, INTERPOLATED = ('repeated', 'late', 'dropped', 'interpolated')


class Remark(NamedTuple):
    """What is not plain about a sample; `frame` is None for one outside all ticks.

    `stream` is a feature's name, `stamp` the sample's nanoseconds, `age` the seconds from there to
    its tick.
    """

    frame: int | None
    stream: str
    kind: str
    stamp: int
    age: float | None
    reason: str


@dataclass(frozen=True)
class Ticks:
    """The frames of an episode, n of them.

    `times`: the ticks (n,), ns. `captured`: the time that each frame shows (n,), ns. `images`: of
    each camera the number of its image, in the order of receipt (n,). `states`, `actions`: (n, 6),
    dataset units.
    """

    times: NDArray[np.int64]
    captured: NDArray[np.int64]
    images: Mapping[str, NDArray[np.int64]]
    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    remarks: tuple[Remark, ...]


def ticks(streams: Streams, fps: int, max_age: float, max_skew: float) -> Ticks:
    """Choose the samples of each tick, from when all streams have begun until one has ended.

    No sample is older at its tick than `max_age`, no two images are further apart than `max_skew`
    (seconds). Raises UserError when a tick in between has no such samples, and when there are less
    than two ticks.
    """
    period = 1e9 / fps
    times = _times(streams, period)
    feed = _Feed(streams, max_age, max_skew)
    choices: list[Choice] = []
    for time in times:
        try:
            choices.append(feed.at(int(time)))
        except UserError as error:
            raise UserError(
                f'{(time - times[0]) * 1e-9:.2f} s after its start '
                f'{_silent(streams, int(time), max_age) or str(error).partition(";")[0]}: record '
                'it again, or allow more with --max-age or --max-skew'
            ) from error
    # The first images may be of a time before the joints were first heard of.
    begin = max(streams.states.times[0], streams.actions.times[0])
    early = sum(choice.captured < begin for choice in choices)
    times, choices = times[early:], choices[early:]
    if len(times) < 2:
        raise _too_short(len(times) / fps)
    captured = np.array([choice.captured for choice in choices], np.int64)
    measured = radians_to_dataset(streams.states.values)
    told, acted = _actions(streams, captured)
    _check_actions(captured, acted, max_age)
    images = {
        camera: np.array([choice.images[camera].message for choice in choices], np.int64)
        for camera in streams.images
    }
    remarks = [
        *_of_images(streams, times, images, period),
        *_of_states(choices, times, captured, period),
        *_of_actions(streams.sampled, captured, acted, period),
    ]
    return Ticks(
        times=times,
        captured=captured,
        images=images,
        states=np.reshape(
            [
                choice.state(*(measured[entry.message] for entry in choice.joints))
                for choice in choices
            ],
            (-1, len(JOINTS)),
        ),
        actions=told,
        remarks=tuple(sorted(remarks, key=lambda r: (r.stamp, r.stream, r.kind))),
    )


class _Feed:
    """Hands samples to Latest in the order of their stamps: images by number, states by row."""

    def __init__(self, streams: Streams, max_age: float, max_skew: float) -> None:
        self._latest = Latest({camera: camera for camera in streams.images}, max_age, max_skew)
        self._images = {camera: list(_kept(stamps)) for camera, stamps in streams.images.items()}
        self._states = list(enumerate(streams.states.times.tolist()))
        for queue in (*self._images.values(), self._states):
            queue.reverse()

    def at(self, time: int) -> Choice:
        for camera, queue in self._images.items():
            while queue and queue[-1][1] <= time:
                number, stamp = queue.pop()
                self._latest.add_image(camera, stamp, number)
        while self._states and self._states[-1][1] <= time:
            row, stamp = self._states.pop()
            self._latest.add_joints(stamp, row)
        return self._latest.choose(time)


def _silent(streams: Streams, time: int, max_age: float) -> str:
    """Say which streams' newest is older than that at `time`, empty for none."""
    newest = {
        **{f'{camera} image': stamps for camera, stamps in streams.images.items()},
        'joint state': streams.states.times,
    }
    ages = {name: (time - found[found <= time].max()) * 1e-9 for name, found in newest.items()}
    return ', '.join(
        f'the newest {name} was {age:.2f} s old, the limit is {max_age:g} s'
        for name, age in ages.items()
        if age > max_age
    )


def _too_short(seconds: float) -> UserError:
    return UserError(
        f'its streams are there at the same time for {seconds:.2f} s only; record it again'
    )


def _times(streams: Streams, period: float) -> NDArray[np.int64]:
    """Return the ticks. They stand in the middle of the longest time in which no image comes:
    so a camera's jitter does not move its image from one tick to the next.
    """
    stamps = {camera: found[rising(found)] for camera, found in streams.images.items()}
    whole = [*stamps.values(), streams.states.times, streams.actions.times]
    for name, found in [
        *((f'{camera} camera', stamps[camera]) for camera in stamps),
        ('joint states', streams.states.times),
        ('actions', streams.actions.times),
    ]:
        if not len(found):
            raise UserError(f'it holds no message of its {name}; record it again')
    begin = max(int(found[0]) for found in whole)
    ends = [int(found[-1]) for found in (whole if streams.sampled else whole[:-1])]
    end = min(ends)
    first = begin + round(_quietest([found - begin for found in stamps.values()], period))
    count = int((end - first) // period) + 1 if end >= first else 0
    if count < 2:
        raise _too_short(max(end - begin, 0) * 1e-9)
    return first + np.round(np.arange(count) * period).astype(np.int64)


def _quietest(streams: Sequence[NDArray[np.int64]], period: float) -> float:
    """Return where in a period the fewest stamps are about, 0 to `period`.

    Each stamp counts for a few milliseconds around it (von Mises density), each stream the same.
    """
    places = np.linspace(0, 2 * np.pi, _PLACES, endpoint=False)
    near = np.zeros(_PLACES)
    for stamps in streams:
        angles = 2 * np.pi * (stamps % period) / period
        near += np.exp(_SHARPNESS * np.cos(angles[:, None] - places)).mean(axis=0)
    return float(places[np.argmin(near)] / (2 * np.pi) * period)


def _kept(stamps: NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(int(i), int(stamps[i])) for i in np.flatnonzero(rising(stamps))]


def _actions(
    streams: Streams, captured: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the actions, (n, 6), dataset units, and the times of what they were taken from."""
    known = streams.actions.times
    index = np.clip(np.searchsorted(known, captured, side='right') - 1, 0, None)
    if streams.sampled:
        return radians_to_dataset(streams.actions.values[index]), known[index]
    way = streams.actions.at(np.minimum(captured, known[-1]))
    return radians_to_dataset(way), captured


def _check_actions(captured: NDArray[np.int64], acted: NDArray[np.int64], max_age: float) -> None:
    ages = (captured - acted) * 1e-9
    if ages.max() > max_age:
        worst = int(np.argmax(ages))
        raise UserError(
            f'{(captured[worst] - captured[0]) * 1e-9:.2f} s after its start the newest action is '
            f'{ages[worst]:.2f} s old, the limit is {max_age:g} s; record it again, or allow more '
            'with --max-age'
        )


def _of_images(
    streams: Streams,
    times: NDArray[np.int64],
    images: Mapping[str, NDArray[np.int64]],
    period: float,
) -> list[Remark]:
    remarks = []
    for camera, numbers in images.items():
        name, stamps = image_feature(camera), streams.images[camera]
        ages = (times - stamps[numbers]) * 1e-9
        for frame in np.flatnonzero(np.diff(numbers, prepend=-1) == 0).tolist():
            newest = int(stamps[stamps <= times[frame]].max())
            reason = 'the camera had none since'
            if newest > stamps[numbers[frame]]:
                reason = 'the next one is further from the image of the other camera'
            stamp, age = int(stamps[numbers[frame]]), float(ages[frame])
            remarks.append(Remark(frame, name, REPEATED, stamp, age, reason))
        for frame in np.flatnonzero(ages * 1e9 > period).tolist():
            reason = f'older than a period of {period * 1e-6:.1f} ms at its tick'
            stamp, age = int(stamps[numbers[frame]]), float(ages[frame])
            remarks.append(Remark(frame, name, LATE, stamp, age, reason))
        kept = rising(stamps)
        unused = np.setdiff1d(np.arange(len(stamps)), numbers)
        for number in unused.tolist():
            stamp = int(stamps[number])
            frame = int(np.searchsorted(times, stamp))
            if not kept[number]:
                reason = 'it came after a newer one, or again'
            elif number < numbers[0]:
                reason = 'before all streams had begun'
            elif number > numbers[-1]:
                reason = 'after a stream had ended'
            else:
                reason = 'another one fits the same tick better'
            inside = frame if numbers[0] < number < numbers[-1] and frame < len(times) else None
            remarks.append(Remark(inside, name, DROPPED, stamp, None, reason))
    return remarks


def _of_states(
    choices: list[Choice],
    times: NDArray[np.int64],
    captured: NDArray[np.int64],
    period: float,
) -> list[Remark]:
    remarks = []
    for frame, choice in enumerate(choices):
        before, after = (entry.stamp for entry in choice.joints)
        age = float(times[frame] - captured[frame]) * 1e-9
        if choice.interpolated:
            reason = f'between two measurements {(after - before) * 1e-6:.1f} ms apart'
            remarks.append(Remark(frame, STATE, INTERPOLATED, int(captured[frame]), age, reason))
        away = min(abs(int(captured[frame]) - stamp) for stamp in (before, after))
        if away > period:
            reason = f'the nearest measurement is {away * 1e-6:.1f} ms from the images'
            remarks.append(Remark(frame, STATE, LATE, before, age, reason))
    return remarks


def _of_actions(
    sampled: bool, captured: NDArray[np.int64], acted: NDArray[np.int64], period: float
) -> list[Remark]:
    if not sampled:
        return [
            Remark(frame, ACTION, INTERPOLATED, int(time), 0.0, 'between points of a trajectory')
            for frame, time in enumerate(acted.tolist())
        ]
    remarks = []
    ages = (captured - acted) * 1e-9
    for frame in np.flatnonzero(np.diff(acted, prepend=-1) == 0).tolist():
        reason = 'nothing else was told since'
        remarks.append(
            Remark(frame, ACTION, REPEATED, int(acted[frame]), float(ages[frame]), reason)
        )
    for frame in np.flatnonzero(ages * 1e9 > period).tolist():
        reason = f'older than a period of {period * 1e-6:.1f} ms when the images were taken'
        remarks.append(Remark(frame, ACTION, LATE, int(acted[frame]), float(ages[frame]), reason))
    return remarks
