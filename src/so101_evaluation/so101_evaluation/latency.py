"""How long inferences are said to take, whatever they take on this machine; pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from so101_node.error import UserError

# Of a hundred inferences, so many take so much longer (s): a GPU that does something else.
SPIKES = 4
_SPIKE = 0.9

_LONGEST = 5.0  # s; an inference that takes longer than a chunk is of no use to anybody


@dataclass(frozen=True)
class Latency:
    """`seconds` from a frame to its chunk; `spikes`: some take 0.9 s longer."""

    seconds: float
    spikes: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= _LONGEST:  # also of what is no number
            raise UserError(f'latency {self.seconds:g} s: give 0 to {_LONGEST:g}')

    def __str__(self) -> str:
        return f'{round(self.seconds * 1e3)} ms' + (' with spikes' if self.spikes else '')

    def draws(self, seed: int) -> Iterator[float]:
        """Yield how long each inference takes, seconds: the same ones for the same seed."""
        random = np.random.default_rng((2, seed))
        while True:
            spike = self.spikes and random.uniform() < SPIKES / 100
            yield self.seconds + _SPIKE * spike
