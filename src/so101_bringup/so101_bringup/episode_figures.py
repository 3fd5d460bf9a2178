"""What one recorded episode says about how the system ran: rates, motion, commands, counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader

from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode, TopicCount
from so101_node.topics import CAMERAS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EpisodeFigures:
    """Angles in radians, times in seconds."""

    joint_states_rate: float
    joint_states_period_p99: float
    camera_rates: dict[str, float]  # of the JPEG images, 0 for a camera without any
    tracking_rms: float  # measured against reference, all joints
    tracking_max: float
    travel: float  # largest range of a joint's measured position
    trajectories: int
    real_time_factor: float  # the worst that the simulation said, NaN for a real arm
    miscounted: list[str]  # topics whose bag does not hold what was published


def measure(folder: Path) -> EpisodeFigures:
    """Read an episode's bag. Raises UserError or rosbags' ReaderError for a broken one."""
    episode = Episode.load(folder)
    typestore = message_definitions()
    messages: dict[str, list[tuple[int, Any]]] = {}
    counts: dict[str, int] = {}
    images = {camera.compressed.name: name for name, camera in CAMERAS.items()}
    wanted = (
        'joint_states',
        'arm_controller/reference',
        'arm_controller/joint_trajectory',
        'diagnostics',
    )
    with Reader(folder) as reader:
        for connection, received, data in reader.messages():
            topic = connection.topic.lstrip('/')
            counts[topic] = counts.get(topic, 0) + 1
            if topic in wanted or topic in images:
                message = typestore.deserialize_cdr(data, connection.msgtype)
                messages.setdefault(topic, []).append((received, message))
    states = _joint_series(messages.get('joint_states', []))
    reference = _joint_series(messages.get('arm_controller/reference', []))
    trajectories = messages.get('arm_controller/joint_trajectory', [])
    diagnostics = messages.get('diagnostics', [])
    error = _tracking_error(states, reference)
    periods = np.diff(states[0])
    return EpisodeFigures(
        joint_states_rate=_rate(states[0]),
        joint_states_period_p99=float(np.percentile(periods, 99)) if len(periods) else np.nan,
        camera_rates={
            name: _rate(np.array([_stamp(message) for _, message in messages.get(topic, [])]))
            for topic, name in images.items()
        },
        tracking_rms=float(np.sqrt(np.mean(error**2))) if error.size else np.nan,
        tracking_max=float(np.max(np.abs(error))) if error.size else np.nan,
        travel=float(np.ptp(states[1], axis=0).max()) if len(states[1]) else 0.0,
        trajectories=len(trajectories),
        real_time_factor=min(
            (float(value) for value in _said(diagnostics, 'sim/world', 'real_time_factor')),
            default=np.nan,
        ),
        miscounted=_miscounted(episode.topics, counts) + _gaps(diagnostics),
    )


def _stamp(message: Any) -> float:
    stamp = message.header.stamp
    return float(stamp.sec + stamp.nanosec * 1e-9)


def _rate(stamps: Array) -> float:
    return (len(stamps) - 1) / float(stamps[-1] - stamps[0]) if len(stamps) > 1 else 0.0


def _joint_series(messages: list[tuple[int, Any]]) -> tuple[Array, Array]:
    """Return stamps (n,) and positions (n, 6)."""
    stamps = np.array([_stamp(message) for _, message in messages])
    positions = np.array([message.position for _, message in messages]).reshape(len(stamps), -1)
    return stamps, positions


def _at(series: tuple[Array, Array], times: Array) -> Array:
    """Return the series interpolated at `times`, shape (len(times), 6)."""
    stamps, positions = series
    return np.stack([np.interp(times, stamps, column) for column in positions.T], axis=1)


def _tracking_error(states: tuple[Array, Array], reference: tuple[Array, Array]) -> Array:
    if len(reference[0]) < 2 or not len(states[0]):
        return np.empty(0)
    inside = (states[0] >= reference[0][0]) & (states[0] <= reference[0][-1])
    return states[1][inside] - _at(reference, states[0][inside])


def _miscounted(topics: Mapping[str, TopicCount], counts: dict[str, int]) -> list[str]:
    wrong = []
    for name, topic in topics.items():
        in_bag = counts.get(name.lstrip('/'), 0)
        if in_bag != topic.messages or topic.lost:
            wrong.append(
                f'{name}: {in_bag} in the bag, {topic.messages} recorded, {topic.lost} lost'
            )
    return wrong


def _said(diagnostics: list[tuple[int, Any]], name: str, key: str) -> list[str]:
    """Return every value of a key of a status, in order."""
    return [
        pair.value
        for _, message in diagnostics
        for status in message.status
        if status.name == name
        for pair in status.values
        if pair.key == key
    ]


def _gaps(diagnostics: list[tuple[int, Any]]) -> list[str]:
    """Name the statuses whose running numbers have a gap."""
    names = {status.name for _, message in diagnostics for status in message.status}
    gaps = []
    for name in sorted(names):
        numbers = [int(text) for text in _said(diagnostics, name, 'sequence')]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            gaps.append(f'/diagnostics {name}: a gap')
    return gaps
