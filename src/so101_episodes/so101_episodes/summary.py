"""What a bag says of its episode: the figures, the arm and the cameras of episode.json."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.serde import SerdeError

from so101_cameras.image import from_jpeg
from so101_description.joints import JOINTS
from so101_episodes import bag_scan, motion_figures
from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode
from so101_episodes.joint_reader import JointReader, stamp
from so101_episodes.motion_figures import Track
from so101_node.topics import CAMERAS, DIAGNOSTICS, JOINT_STATES, REFERENCE

# Nanoseconds from one message of any topic to the next: outside these the clock was set. Within
# one look of the recorder at what came they are in order, from one look to the next not quite.
_STANDSTILL = 1_000_000_000
_BACKWARDS = -200_000_000

# What driver/arm says of the arm that is the same for the whole episode.
_ARM = ('port', 'calibration', 'lower_rad', 'upper_rad')

# Of the policy's statuses: as said last, and by how much it grew in the episode.
_SAID = {
    'policy/inference': (
        'inference_p50_ms',
        'inference_p95_ms',
        'observation_to_command_p50_ms',
        'observation_to_command_p95_ms',
    ),
    'policy/motion': ('change_mean_degrees', 'change_p95_degrees', 'jerk_rms_degrees'),
}
_GROWN = {
    'policy/inference': ('chunks', 'late_chunks', 'unsound_chunks'),
    'policy/motion': ('starved_seconds',),
}


@dataclass
class _Stream:
    """Of a topic's messages: the stamps, ns, and the numbers of the stretches between clock jumps.

    Of joint states, too, the positions, radians.
    """

    stamps: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    poses: list[NDArray[np.float64]] = field(default_factory=list)
    reader: JointReader = field(default_factory=JointReader)

    def intervals(self) -> NDArray[np.float64]:
        """Return the seconds from each message to the next, but for those across a clock jump."""
        return np.diff(self.stamps)[np.diff(self.parts) == 0] * 1e-9

    def rate(self) -> float | None:
        """Return messages a second, None of fewer than two."""
        seconds = float(self.intervals().sum())
        return len(self.intervals()) / seconds if seconds > 0 else None

    def track(self) -> Track:
        start = self.stamps[0] if self.stamps else 0
        return Track(
            (np.array(self.stamps, dtype=np.int64) - start) / np.float64(1e9),
            np.rad2deg(np.reshape(self.poses, (-1, len(JOINTS)))),
            np.array(self.parts, dtype=np.int64),
        )


def described(episode: Episode, bag: Path) -> Episode:
    """Return the episode with `figures`, `arm` and `cameras` as the bag's folder says.

    A message that cannot be decoded counts for nothing. Raises OSError.
    """
    reading = _Reading()
    for channel, received, data in bag_scan.messages(bag / f'{bag.name}.mcap'):
        reading.take(channel.topic.lstrip('/'), received, data)
    return replace(episode, figures=reading.figures(), arm=reading.arm(), cameras=reading.cameras)


class _Reading:
    def __init__(self) -> None:
        self._typestore: Any = message_definitions()
        self._part = 0
        self._received: int | None = None
        self._joints = {topic.name: _Stream() for topic in (JOINT_STATES, REFERENCE)}
        self._images = {camera.compressed.name: _Stream() for camera in CAMERAS.values()}
        self.cameras: dict[str, dict[str, str | int]] = {}
        self._first: dict[str, Mapping[str, str]] = {}  # what each status said first, and last
        self._last: dict[str, Mapping[str, str]] = {}
        self._real_time: list[float] = []
        self._take: dict[str, Callable[[str, bytes], None]] = {
            **dict.fromkeys(self._joints, self._take_joints),
            **dict.fromkeys(self._images, self._take_image),
            DIAGNOSTICS.name.lstrip('/'): self._take_health,
        }

    def take(self, topic: str, received: int, data: bytes) -> None:
        if self._received is not None:
            step = received - self._received
            self._part += not _BACKWARDS < step < _STANDSTILL
        self._received = received
        if topic in self._take:
            with suppress(ValueError, SerdeError):
                self._take[topic](topic, data)

    def figures(self) -> dict[str, float | None]:
        states, reference = (self._joints[t.name] for t in (JOINT_STATES, REFERENCE))
        measured, told = states.track(), reference.track()
        periods = states.intervals()
        figures: dict[str, float | None] = {
            **{f'reference_{name}': x for name, x in motion_figures.smoothness(told).items()},
            **{f'measured_{name}': x for name, x in motion_figures.smoothness(measured).items()},
            **motion_figures.tracking(measured, told),
            'travel_degrees': motion_figures.travel(measured),
            'joint_states_rate_hz': states.rate(),
            'joint_states_period_p99_ms': (
                1e3 * float(np.percentile(periods, 99)) if len(periods) else None
            ),
        }
        for name, camera in CAMERAS.items():
            stream = self._images[camera.compressed.name]
            if stream.stamps:
                gap = 1e3 * float(stream.intervals().max(initial=0.0))
                figures |= {f'{name}_rate_hz': stream.rate(), f'{name}_longest_gap_ms': gap}
        for status, keys in _SAID.items():
            figures |= {key: _number(self._last.get(status), key) for key in keys}
        for status, keys in _GROWN.items():
            figures |= {key: self._growth(status, key) for key in keys}
        figures['real_time_factor_min'] = min(self._real_time, default=None)
        return figures

    def arm(self) -> dict[str, str]:
        said = self._last.get('driver/arm', {})
        return {key: said[key] for key in _ARM if key in said}

    def _take_joints(self, topic: str, data: bytes) -> None:
        stream = self._joints[topic]
        stream.poses.append(stream.reader.read(data))
        self._take_stamp(stream, data)

    def _take_image(self, topic: str, data: bytes) -> None:
        self._take_stamp(self._images[topic], data)
        name, camera = next(x for x in CAMERAS.items() if x[1].compressed.name == topic)
        if name not in self.cameras:
            message: Any = self._typestore.deserialize_cdr(data, camera.compressed.type_name)
            height, width = from_jpeg(message.data.tobytes()).shape[:2]
            self.cameras[name] = {'width': width, 'height': height, 'format': message.format}

    def _take_health(self, _: str, data: bytes) -> None:
        message: Any = self._typestore.deserialize_cdr(data, DIAGNOSTICS.type_name)
        for status in message.status:
            said = {pair.key: pair.value for pair in status.values}
            self._first.setdefault(status.name, said)
            self._last[status.name] = said
            if status.name == 'sim/world':
                factor = _number(said, 'real_time_factor')
                self._real_time += [factor] if factor is not None else []

    def _take_stamp(self, stream: _Stream, data: bytes) -> None:
        stream.stamps.append(stamp(data))
        stream.parts.append(self._part)

    def _growth(self, status: str, key: str) -> float | None:
        first, last = (_number(said.get(status), key) for said in (self._first, self._last))
        if first is None or last is None:
            return None
        return last - first if last >= first else last  # it began again from nought


def _number(said: Mapping[str, str] | None, key: str) -> float | None:
    """Return a finite number that a status said, None for anything else."""
    try:
        value = float((said or {})[key])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None
