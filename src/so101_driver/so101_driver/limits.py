"""The bounds of what the servos are told; pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Seconds. After a pause the reference goes on at its pace instead of leaping to where it would be.
MAX_INTERVAL = 0.05


@dataclass(frozen=True)
class Limits:
    """`lower` and `upper` in radians, shape (6,); `max_velocity` in rad/s, for every joint."""

    lower: Array
    upper: Array
    max_velocity: float

    def approach(self, reference: Array, target: Array, seconds: float) -> tuple[Array, bool]:
        """Move the reference toward the clamped target as far as `seconds` allow.

        Returns the new reference, and whether it is there.
        """
        way = np.minimum(np.maximum(target, self.lower), self.upper) - reference
        reach = self.max_velocity * min(max(seconds, 0.0), MAX_INTERVAL)
        step = np.minimum(np.maximum(way, -reach), reach)
        return reference + step, step.tolist() == way.tolist()
