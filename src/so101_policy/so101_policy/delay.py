"""How long the next inference will take, foreseen from those before; pure."""

from collections import deque

import numpy as np

# So many are looked at, and so many of a hundred are to be no longer than foreseen. A chunk that
# comes later than foreseen is faded in; one that comes earlier was tied to more than it had to be,
# and a policy that is tied to a second of old decisions goes astray. So spikes must not count
# though there be a few: with 90 the benchmark's arm was 4 degrees off under spikes, with 75 2.3.
_LATEST = 30
_PERCENTILE = 75


class Delays:
    """From observation to plan, in ticks. The first, of a cold model, soon does not count."""

    def __init__(self) -> None:
        self._ticks: deque[float] = deque(maxlen=_LATEST)
        self._cold = True

    def add(self, ticks: float) -> None:
        if self._ticks and self._cold:
            self._ticks.clear()
            self._cold = False
        self._ticks.append(ticks)

    def foreseen(self) -> int | None:
        """Return the next one in whole ticks; None before the first."""
        return int(np.ceil(np.percentile(self._ticks, _PERCENTILE))) if self._ticks else None
