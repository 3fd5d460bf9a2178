"""How far a policy's chunks are from what was done: errors per joint over the horizon.

Times are nanoseconds, of the recording. Values are dataset units: degrees, and 0 to 100 of the
gripper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from so101_episodes.series import Series

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """One chunk: `actions` (T, 6), one each `period` from `observed`, where the first belongs."""

    observed: int
    period: int
    actions: Array

    @property
    def times(self) -> NDArray[np.int64]:
        return self.observed + np.arange(len(self.actions)) * self.period


class PredictionError:
    """Predicted against recorded actions: `absolute` has shape (chunk, T, 6).

    It is NaN for actions before the first or after the last recorded one.
    """

    def __init__(self, predictions: Sequence[Prediction], recorded: Series) -> None:
        """Take at least one prediction; all are of one length, the policy's chunk."""
        self.absolute = np.stack(
            [np.abs(chunk.actions - recorded.at(chunk.times)) for chunk in predictions]
        )
        self.period = predictions[0].period
        self._predictions = predictions
        self._recorded = recorded

    @property
    def compared(self) -> int:
        """How many predicted actions there is a recorded one for."""
        return int(np.isfinite(self.absolute[:, :, 0]).sum())

    def per_joint(self) -> Array:
        """Return the mean absolute error of each joint, shape (6,)."""
        return _mean(self.absolute, axis=(0, 1))

    def over_horizon(self) -> Array:
        """Return the mean absolute error at each action of a chunk, shape (T, 6)."""
        return _mean(self.absolute, axis=(0,))

    def coverage(self) -> float:
        """Return the part, 0 to 1, of the recorded time for which there is a prediction."""
        times = self._recorded.times
        ticks = np.arange(times[0], times[-1] + 1, self.period)
        covered = np.zeros(len(ticks), dtype=bool)
        for chunk in self._predictions:
            covered |= (ticks >= chunk.times[0]) & (ticks <= chunk.times[-1])
        return float(covered.mean())


def _mean(values: Array, axis: tuple[int, ...]) -> Array:
    """Return the mean of what is not NaN, NaN of nothing."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
