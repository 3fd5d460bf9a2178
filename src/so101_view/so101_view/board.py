"""The latest message of each section of the page, and what each reader has not seen of it.

Nothing queues: a slow reader skips what was replaced before it was ready.
"""

from collections.abc import Iterator

Message = str | bytes  # as a websocket carries it; bytes are a camera's frame


class Board:
    """Written by one thread, read by another."""

    def __init__(self) -> None:
        self.latest: dict[str, tuple[int, Message]] = {}  # with its number
        self._count: dict[str, int] = {}

    def put(self, section: str, message: Message) -> None:
        self._count[section] = number = self._count.get(section, 0) + 1
        self.latest[section] = number, message

    def clear(self) -> None:
        """Forget all messages."""
        self.latest = {}


class Reader:
    """One browser: gets a section's next message when it has shown the last one."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._seen: dict[str, int] = {}
        self._showing: set[str] = set()
        self.frames_sent = 0
        self.frames_dropped = 0

    def take(self) -> Iterator[Message]:
        """Yield the messages to be sent now; their sections then wait for `shown`."""
        for section, (number, message) in list(self._board.latest.items()):
            seen = self._seen.get(section, number - 1)
            if section in self._showing or number == seen:
                continue
            self._seen[section] = number
            self._showing.add(section)
            if isinstance(message, bytes):
                self.frames_sent += 1
                self.frames_dropped += number - seen - 1
            yield message

    def shown(self, section: str) -> None:
        self._showing.discard(section)
