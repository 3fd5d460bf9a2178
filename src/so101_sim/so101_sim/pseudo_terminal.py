"""A pseudo-terminal that answers its host in the time that a servo bus takes."""

import os
import select
import threading
import time
import tty
from collections import deque
from collections.abc import Callable

from so101_sim.fault import LATE_SECONDS
from so101_sim.wire import Late

# At 1 Mbps a byte of ten bits takes this long. Replies keep to it, because a driver's rates and
# deadlines mean nothing on a bus that answers at once; one short sleep a reply costs no processor.
BYTE_SECONDS = 10e-6

# A pseudo-terminal that nobody has open reports a hang-up, which cannot be waited on to end.
_RECONNECT_SECONDS = 0.02


class PseudoTerminal:
    """Answers, in a thread of its own, what a host writes to the terminal at `name`."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(slave)
        os.close(slave)  # a host's exclusive use must end when it closes its side
        self._late: deque[tuple[float, bytes]] = deque()  # replies, and when they are due
        self._stop_reading, self._stop_writing = os.pipe()
        self._thread = threading.Thread(target=self._serve, name='serial')
        self._patience = 0.0
        self._thread.start()

    def close(self, patience: float) -> None:
        """Let it hang up: as soon as the host has closed it, or after `patience` seconds."""
        self._patience = patience
        os.write(self._stop_writing, b'x')
        self._thread.join()
        for descriptor in (self._master, self._stop_reading, self._stop_writing):
            os.close(descriptor)

    def _serve(self) -> None:
        free = time.monotonic()  # when the wire is free again
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        poll.register(self._stop_reading, select.POLLIN)
        farewell = float('inf')  # when to stop waiting for the host
        while (now := time.monotonic()) < farewell:
            due = min(farewell, self._late[0][0]) if self._late else farewell
            events = dict(poll.poll(None if due == float('inf') else max(0.0, due - now) * 1e3))
            if self._stop_reading in events:
                poll.unregister(self._stop_reading)
                farewell = time.monotonic() + self._patience
                continue
            self._send_late()
            event = events.get(self._master, 0)
            if not event & select.POLLIN:
                if event & select.POLLHUP:
                    if farewell < float('inf'):
                        return
                    self._late.clear()
                    time.sleep(_RECONNECT_SECONDS)
                continue
            data = os.read(self._master, 4096)
            reply = self._answer(data)
            now = time.monotonic()
            free = max(free, now) + BYTE_SECONDS * (len(data) + len(reply))
            if isinstance(reply, Late):
                self._late.append((free + LATE_SECONDS, reply))
            elif reply:
                time.sleep(free - now)
                self._send(reply)

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            self._send(self._late.popleft()[1])

    def _send(self, reply: bytes) -> None:
        try:
            os.write(self._master, reply)
        except BlockingIOError:
            pass  # a host that never reads: its buffer is full, the bytes are lost
