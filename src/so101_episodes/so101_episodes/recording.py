"""One episode being recorded: a queue of messages, and the thread that writes them to the bag.

The queue lets the disk stand still for seconds without a message being lost. The episode's folder
has its final name only once it is complete.
"""

import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from so101_episodes.bag import Bag, Channel, sync
from so101_episodes.claim import Claim
from so101_episodes.episode import PARTIAL, Episode, TopicCount
from so101_node.error import UserError
from so101_node.reception import Reception

# Messages. Nine seconds of two cameras, states and references, about 40 MB.
QUEUE_SIZE = 8192

# Seconds. One wake-up of the thread for ten or twenty messages, not one for each.
_WRITE_PERIOD = 0.03

# Seconds from a message to where a kill of this process does not lose it, the two above included:
# half of what may be lost.
_FLUSH_PERIOD = 0.4


class Recording:
    """Messages received between its start and finish(), discard() or abandon().

    `writing` ends at once, with a UserError, when the disk refuses.
    """

    def __init__(
        self,
        recordings: Path,
        name: str,
        channels: Collection[Channel],
        draft: Episode,
        many_publishers: Collection[str] = (),
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        """Start an episode of which `draft` is known.

        The losses of topics of `many_publishers` are not counted. Raises UserError when the
        folder cannot be made.
        """
        self.path = recordings / name
        self._folder = recordings / PARTIAL / name
        self._channels = channels
        self._many_publishers = many_publishers
        self._receptions = {channel.topic: Reception() for channel in channels}
        self._dropped: Counter[str] = Counter()
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._queue_size = queue_size
        self._ending = threading.Event()
        try:
            self._bag = Bag(self._folder, channels)
            self._claim = Claim(self._folder)
            none = {c.topic: TopicCount(c.type, 0, None, None, 0.0) for c in channels}
            replace(draft, topics=none).save(self._folder)
        except OSError as error:
            raise self._refusal(error) from error
        thread = ThreadPoolExecutor(1, thread_name_prefix='bag')
        self.writing: Future[None] = thread.submit(self._write)
        thread.shutdown(wait=False)

    def add(self, topic: str, data: bytes, info: Mapping[str, Any]) -> None:
        """Take one serialized message with the info that came with it; never waits."""
        self._receptions[topic].add(info)
        if len(self._queue) < self._queue_size:
            self._queue.append((topic, data, info['received_timestamp']))
        else:
            self._dropped[topic] += 1

    @property
    def messages(self) -> int:
        """Messages in the bag so far."""
        return sum(self._bag.counts.values())

    @property
    def lost(self) -> int:
        """Messages lost so far, on their way here or because the disk stood still for too long."""
        return self._dropped.total() + sum(
            reception.lost
            for topic, reception in self._receptions.items()
            if topic not in self._many_publishers
        )

    def finish(self, episode: Episode, described: Callable[[Episode, Path], Episode]) -> Path:
        """Write out everything, give the folder its final name and return that.

        `described` adds what the bag, then in its folder, says of the episode. Raises UserError
        when the disk refuses; the unfinished folder stays under .partial then.
        """
        self._end_writing()
        topics = {c.topic: self._count(c, episode.duration_s) for c in self._channels}
        try:
            self._bag.close()
            episode = described(replace(episode, topics=topics), self._folder)
            replace(episode, complete=True).save(self._folder)
            self._folder.rename(self.path)
            sync(self.path.parent)
        except OSError as error:
            self.abandon()
            raise self._refusal(error) from error
        self._claim.release()
        return self.path

    def discard(self) -> None:
        """Delete what was recorded; raises UserError when the disk refuses."""
        self._end_writing()
        with suppress(OSError):
            self._bag.abandon()
        try:
            shutil.rmtree(self._folder)
        except OSError as error:
            raise UserError(f'cannot delete {self._folder}: {error.strerror}') from error
        finally:
            self._claim.release()

    def abandon(self) -> None:
        """Stop writing and leave the unfinished folder under .partial, as a kill would."""
        self._ending.set()
        with suppress(OSError):  # of the last bytes, which the disk refused already
            self._bag.abandon()
        self._claim.release()

    def _write(self) -> None:
        ending = False
        flushed = time.monotonic()
        try:
            while not ending:
                ending = self._ending.wait(_WRITE_PERIOD)
                while self._queue:
                    self._bag.write(*self._queue.popleft())
                if time.monotonic() - flushed >= _FLUSH_PERIOD:
                    flushed = time.monotonic()
                    self._bag.flush()
        except OSError as error:
            raise self._refusal(error) from error

    def _end_writing(self) -> None:
        self._ending.set()
        self.writing.result()

    def _count(self, channel: Channel, duration: float) -> TopicCount:
        topic, messages = channel.topic, self._bag.counts[channel.topic]
        reception = self._receptions[topic]
        countable = topic not in self._many_publishers
        return TopicCount(
            type=channel.type,
            messages=messages,
            published=reception.received + reception.lost if countable else None,
            lost=reception.lost + self._dropped[topic] if countable else None,
            rate_hz=messages / max(duration, 1e-9),
        )

    def _refusal(self, error: OSError) -> UserError:
        return UserError(
            f'cannot write {self._folder}: {error.strerror}; make room there or choose another '
            'directory. The episode is unfinished; the next recorder there salvages it.'
        )
