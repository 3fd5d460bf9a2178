"""The steady clock and system time at one moment, and times of the one as times of the other."""

import time
from typing import NamedTuple

# Nanoseconds that lie at most between the two readings, or they are read again.
_AT_ONCE = 1_000_000


class Clocks(NamedTuple):
    """Nanoseconds. Durations are judged by the steady clock; system time can be set."""

    steady: int
    system: int

    @classmethod
    def read(cls) -> 'Clocks':
        while True:
            steady, system = time.monotonic_ns(), time.time_ns()
            if time.monotonic_ns() - steady < _AT_ONCE:
                return cls(steady, system)

    def steady_of(self, system: int) -> int:
        """Return when it was, by the steady clock, that system time as of now calls `system`."""
        return self.steady + system - self.system
