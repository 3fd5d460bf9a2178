"""One rosbag2 bag being written: MCAP, messages as the middleware serialized them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores, TypesysError, get_typestore
from rosbags.typesys.store import Typestore

from so101_node.error import UserError

# What rosbag2 writes for a duration without an end: the largest int64 of nanoseconds.
_INFINITE = QosTime(9223372036, 854775807)


@dataclass(frozen=True)
class Channel:
    """One recorded topic: full name, type as 'sensor_msgs/msg/JointState', and its QoS."""

    topic: str
    type: str
    depth: int
    reliable: bool
    latched: bool


class Bag:
    """A bag in a folder of its own, which must not exist yet.

    Every method raises OSError when the disk does not take what is written.
    """

    def __init__(self, folder: Path, channels: Iterable[Channel] = ()) -> None:
        self.folder = folder
        self.counts: dict[str, int] = {}
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        for channel in channels:
            self.add(channel)

    def add(self, channel: Channel) -> None:
        """Add a topic; raises UserError for a type that ROS does not have."""
        try:
            self._connections[channel.topic] = self._writer.add_connection(
                channel.topic,
                channel.type,
                typestore=message_definitions(),
                offered_qos_profiles=[_qos(channel)],
            )
        except TypesysError as error:
            raise UserError(f'{channel.topic} is of a type unknown to ROS: {error}') from error
        self.counts[channel.topic] = 0

    def write(self, topic: str, data: bytes, stamp: int) -> None:
        """Append one serialized (CDR) message, received at `stamp` nanoseconds."""
        self._writer.write(self._connections[topic], stamp, data)
        self.counts[topic] += 1

    def flush(self) -> None:
        """Hand what was written to the kernel, where it is safe from a kill of this process.

        By itself rosbags waits until a chunk of a megabyte is full, and has no call for less: this
        reaches into its MCAP writer.
        """
        storage = self._writer.storage
        assert isinstance(storage, McapWriter)
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()

    def close(self) -> None:
        """Write index and metadata, and return once they are on the disk."""
        self._writer.close()
        for file in self.folder.iterdir():
            sync(file)

    def abandon(self) -> None:
        """Close the file as it is, without an index."""
        self._writer.abort()


def sync(path: Path) -> None:
    """Return once the file or folder at `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Return once the folder and everything in it are on the disk."""
    for path in (*folder.rglob('*'), folder):
        sync(path)


@cache
def message_definitions() -> Typestore:
    """Return ROS's message definitions; reading them the first time takes 0.1 s."""
    return get_typestore(Stores.ROS2_JAZZY)


def _qos(channel: Channel) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=channel.depth,
        reliability=QosReliability.RELIABLE if channel.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if channel.latched else QosDurability.VOLATILE,
        deadline=_INFINITE,
        lifespan=_INFINITE,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE,
        avoid_ros_namespace_conventions=False,
    )
