"""A serial port that exists only here: a pseudo-terminal with a link to it at a chosen path."""

import os
import select
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

from so101_node.error import UserError

# At 1 Mbps a byte of ten bits takes this long. Replies keep to it, because a driver's rates and
# deadlines mean nothing on a bus that answers at once; one short sleep a reply costs no processor.
BYTE_SECONDS = 10e-6

# A pseudo-terminal that nobody has open reports a hang-up, which cannot be waited on to end.
_RECONNECT_SECONDS = 0.02

# How long `close` waits for a host to close its side.
_FAREWELL_SECONDS = 3.0


class SerialDevice:
    """Answers, in a thread of its own, what a host writes to the port at `path`."""

    def __init__(self, path: Path, answer: Callable[[bytes], bytes]) -> None:
        """Make the port; raises UserError when the link cannot be made."""
        self._path = path
        self._answer = answer
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self._name = os.ttyname(slave)
        os.close(slave)  # a host's exclusive use must end when it closes its side
        try:
            _link(path, self._name)
        except OSError as error:
            os.close(self._master)
            raise UserError(
                f'port {path}: cannot make the simulated port there ({error.strerror}); '
                f'give another path'
            ) from error
        self._stop_reading, self._stop_writing = os.pipe()
        self._thread = threading.Thread(target=self._serve, name='serial')
        self._thread.start()

    def close(self) -> None:
        """Remove the link, then the port once the host has closed it, so that it can let go.

        A driver that is stopped together with its simulated arm still switches torque off.
        """
        if self._path.is_symlink() and str(self._path.readlink()) == self._name:
            self._path.unlink()
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
        while time.monotonic() < farewell:
            events = dict(poll.poll(1000 * _FAREWELL_SECONDS))
            if self._stop_reading in events:
                poll.unregister(self._stop_reading)
                farewell = time.monotonic() + _FAREWELL_SECONDS
            event = events.get(self._master, 0)
            if not event & select.POLLIN:
                if event & select.POLLHUP:
                    if farewell < float('inf'):
                        return
                    time.sleep(_RECONNECT_SECONDS)
                continue
            data = os.read(self._master, 4096)
            reply = self._answer(data)
            now = time.monotonic()
            free = max(free, now) + BYTE_SECONDS * (len(data) + len(reply))
            if reply:
                time.sleep(free - now)
                try:
                    os.write(self._master, reply)
                except BlockingIOError:
                    pass  # a host that never reads: its buffer is full, the bytes are lost


def _link(path: Path, target: str) -> None:
    """Put a symbolic link at `path`, in place of one that an ended simulation left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.symlink_to(target)
