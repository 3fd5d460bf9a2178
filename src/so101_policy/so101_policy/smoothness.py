"""How smooth the commands are, above all where one chunk follows another; pure.

In degrees and ticks, as the benchmark does it: a second difference of one degree at 30 a second
is 900 degrees/s^2.
"""

from collections import deque

import numpy as np

from so101_policy.plan import PAST, Plan

# Ticks after a change of plans that belong to it: as long as a difference is faded out.
_AROUND = 10

_LATEST = 200  # changes that the figures are of: about a minute


class Smoothness:
    """Figures of the latest plans."""

    def __init__(self) -> None:
        self._changes: deque[float] = deque(maxlen=_LATEST)
        self._jerks: deque[float] = deque(maxlen=_LATEST)

    def add(self, plan: Plan) -> None:
        """Take a plan that took over from another one."""
        rows = np.rad2deg(np.vstack([plan.past, plan.positions[1:]]))[: PAST + _AROUND]
        self._changes.append(float(np.linalg.norm(np.diff(rows, 2, axis=0), axis=1).max()))
        jerks = np.linalg.norm(np.diff(rows, 3, axis=0), axis=1)
        self._jerks.append(float(np.sqrt(np.mean(jerks**2))))

    def figures(self) -> dict[str, float]:
        """Return the worst second difference around changes, and the jerk there, both by joint
        space's length; nan before the first plan.
        """
        changes = self._changes or [np.nan]
        return {
            'change_mean_degrees': float(np.mean(changes)),
            'change_p95_degrees': float(np.percentile(changes, 95)),
            'jerk_rms_degrees': float(np.sqrt(np.mean(np.square(self._jerks or [np.nan])))),
        }
