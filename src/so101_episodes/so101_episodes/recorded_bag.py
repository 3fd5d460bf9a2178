"""A rosbag2 folder being read: MCAP or sqlite3, compressed or not, in one file or several."""

import struct
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from backports import zstd
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError

from so101_episodes.bag import message_definitions
from so101_episodes.episode import PARTIAL
from so101_node.error import UserError
from so101_node.topics import LEADER_STATES, LEADER_TRAJECTORY, Topic

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

_DATA = ('*.mcap', '*.db3', '*.mcap.zstd', '*.db3.zstd')


@dataclass(frozen=True)
class Recorded:
    """One topic of a bag: as the suite knows it, its full name there, how many messages it has."""

    topic: Topic
    name: str
    messages: int


class RecordedBag:
    """A bag in a folder, whoever recorded it.

    Its topics may be in a namespace: joint_states is /joint_states, or the only topic that ends in
    that. Every method raises UserError when the bag is broken. `started`: when the first message
    was received, nanoseconds; `duration`: seconds from there to the last; `count`: of messages.
    """

    def __init__(self, folder: Path) -> None:
        """Read which topics there are; raises UserError when the folder is no bag."""
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder; give the folder of an episode')
        self.folder = folder
        self._typestore: Any = message_definitions()
        with self._told():
            reader = Reader(folder)
            reader.open()
            # Left open for who reads next: opening takes 12 ms, and unpacks a bag that is
            # compressed by file.
            self._opened: Reader | None = reader
            self._close = weakref.finalize(self, reader.close)
            self._kinds = {c.topic: (c.msgtype, c.msgcount) for c in reader.connections}
            self.count = reader.message_count
            self.started = reader.start_time if self.count else 0
            self.duration = reader.duration * 1e-9 if self.count else 0.0

    def find(self, topic: Topic) -> Recorded | None:
        """Return the bag's topic; None when it holds no message of it.

        Raises UserError when it is of another type, or when there are two that it could be.
        """
        # The leader arm is in a namespace, too, but its topics are others.
        others = {t.name for t in (LEADER_STATES, LEADER_TRAJECTORY)} - {topic.name}
        names = [
            name
            for name, (_, messages) in self._kinds.items()
            if messages and _is(name, topic.name) and not any(_is(name, other) for other in others)
        ]
        for name in names:
            if name.lstrip('/') == topic.name:
                names = [name]
        if len(names) > 1:
            raise UserError(
                f'{self.folder}: {topic.name} could be {" or ".join(sorted(names))}; '
                'record one robot in a bag'
            )
        if not names:
            return None
        kind, messages = self._kinds[names[0]]
        if kind != topic.type_name:
            raise UserError(f'{self.folder}: {names[0]} is a {kind}, expected {topic.type_name}')
        return Recorded(topic, names[0], messages)

    def require(self, topic: Topic) -> Recorded:
        """Return the bag's topic; raises UserError also when it holds no message of it."""
        if (recorded := self.find(topic)) is None:
            raise UserError(f'{self.folder}: no message on {topic.name}; record it')
        return recorded

    def messages(self, *recorded: Recorded) -> Iterator[tuple[Topic, int, Any]]:
        """Yield every message of these topics with the nanoseconds at which it was received."""
        for topic, received, data in self.serialized(*recorded):
            yield topic, received, self.decode(topic, data)

    def serialized(self, *recorded: Recorded) -> Iterator[tuple[Topic, int, bytes]]:
        """Yield the same in the form in which the middleware sends it, CDR."""
        topics = {each.name: each.topic for each in recorded}
        count = 0
        with self._reading() as reader:
            chosen = [c for c in reader.connections if c.topic in topics]
            for connection, received, data in reader.messages(chosen) if chosen else ():
                count += 1
                yield topics[connection.topic], received, data
        if count < (counted := sum(each.messages for each in recorded)):
            raise UserError(
                f'{self.folder}: the bag is broken: it holds {count} messages of '
                f'{", ".join(topics)}, its metadata.yaml says {counted}; copy it again'
            )

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        opened, self._opened = self._opened, None
        with self._told():
            if opened:
                try:
                    yield opened
                finally:
                    self._close()
            else:
                with Reader(self.folder) as reader:
                    yield reader

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise UserError for what shows a bag to be broken."""
        try:
            yield
        except FileNotFoundError as error:
            raise UserError(self._unfinished()) from error
        except _BROKEN as error:
            raise self._broken(error) from error

    def _unfinished(self) -> str:
        """Say what a folder is that has no metadata.yaml."""
        if self.folder.parent.name == PARTIAL:
            return (
                f'{self.folder} is not a finished episode: it is being recorded, or its recorder '
                'was killed; the next recorder of that directory salvages it'
            )
        if any(file for pattern in _DATA for file in self.folder.glob(pattern)):
            return (
                f'{self.folder} has no metadata.yaml: its recorder runs still, or was killed; '
                f'then make it with: ros2 bag reindex {self.folder}'
            )
        return f'{self.folder} is no bag: it has no metadata.yaml; give the folder of an episode'

    def decode(self, topic: Topic, data: bytes) -> Any:
        """Return the message of what `serialized` yielded."""
        try:
            return self._typestore.deserialize_cdr(data, topic.type_name)
        except SerdeError as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> UserError:
        text = ' '.join(str(error).split()) or type(error).__name__
        return UserError(f'{self.folder}: the bag is broken: {text}; copy it again')


def _is(name: str, relative: str) -> bool:
    """Return whether a topic's full name is a relative one, in whatever namespace."""
    return f'/{name}'.endswith(f'/{relative}')
