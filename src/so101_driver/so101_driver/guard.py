"""A small process that outlives the driver, and lets go of the arm if the driver was killed.

The servos have no watchdog of their own: a driver that ends by kill -9 leaves them pulling for
ever. It holds one end of a pipe whose other end only the driver has. When the driver says goodbye,
the guard ends; when the pipe closes without a word, it switches torque off.
"""

import subprocess
import sys
from collections.abc import Sequence

# What the driver says when it has let go of the arm by itself.
GOODBYE = b'goodbye'


class Guard:
    """The driver's side: a guard over the servos at one port."""

    def __init__(self, port: str, servos: Sequence[int]) -> None:
        self.port = port
        # A session of its own, so that a signal to the driver's group does not end it as well. It
        # keeps the driver's stderr: what it does is said where the driver would say it.
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'so101_driver.guard_process', port, *map(str, servos)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def watching(self) -> bool:
        return self._process.poll() is None

    def alarm(self) -> None:
        """Let the guard try what the driver could not: to switch torque off."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def dismiss(self) -> None:
        """Torque is off, or another guard watches: end this one."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(GOODBYE)
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # somebody ended it; there is nothing left to guard
        self._process.wait()
