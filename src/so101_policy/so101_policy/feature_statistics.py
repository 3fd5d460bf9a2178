"""Statistics of a feature over a training dataset, and what they tell of its units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.units import radians_to_dataset
from so101_node.error import UserError

# Of those that LeRobot computes (lerobot.datasets.compute_stats), the ones used here.
NAMES = ('min', 'max', 'mean', 'std', 'q01', 'q10', 'q90', 'q99')

# LeRobot puts these in the place of a camera's own unless it is told not to: they tell nothing of
# the images (lerobot.utils.constants.IMAGENET_STATS).
_IMAGENET_MEAN = (0.485, 0.456, 0.406)

# Standard deviations about the mean that count as the range when no range is known.
_SPREAD = 3.0

# Dataset units. All five arm joints within a little more than pi: degrees would mean an arm that
# never moved.
_RADIANS = 3.3
# How far beyond the nominal limits a calibrated arm is believed to stand: always (its mean), or
# once (its extremes).
_MEAN_BEYOND = 15.0
_EXTREME_BEYOND = 30.0
# How far apart the ranges of state and action may lie: a leader pushes a follower that is blocked.
_APART = 20.0

_ARM = [i for i in range(len(JOINTS)) if i != GRIPPER]
_LOW, _HIGH = radians_to_dataset(np.array([URDF_LIMITS[joint] for joint in JOINTS]).T)


@dataclass(frozen=True)
class Span:
    """The range of a feature, per element; `measured` is false when guessed of mean and std."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    measured: bool


@dataclass(frozen=True)
class Statistics:
    """The statistics of one feature by name, of NAMES: one finite number per element."""

    values: Mapping[str, tuple[float, ...]]

    @classmethod
    def checked(cls, found: Mapping[str, Any], size: int, where: str) -> 'Statistics':
        """Take those of NAMES in `found`: numbers, nested or not, `size` of each.

        Raises UserError that begins with `where` for another count and for what is not finite.
        """
        values = {}
        for name in NAMES:
            if name not in found:
                continue
            try:
                numbers = np.asarray(found[name], np.float64).ravel()
            except (TypeError, ValueError) as error:
                raise UserError(f'{where}.{name}: {found[name]!r}, expected numbers') from error
            if numbers.size != size:
                raise UserError(f'{where}.{name}: {numbers.size} numbers, expected {size}')
            if not np.isfinite(numbers).all():
                raise UserError(
                    f'{where}.{name} is not finite: {numbers.tolist()}; '
                    "compute the dataset's statistics again"
                )
            values[name] = tuple(numbers.tolist())
        return cls(values)

    def get(self, name: str) -> NDArray[np.float64] | None:
        return np.array(self.values[name]) if name in self.values else None

    def span(self) -> Span | None:
        """Return the range: the extremes, else outer quantiles, else three std about the mean."""
        for low, high in (('min', 'max'), ('q01', 'q99')):
            if low in self.values and high in self.values:
                return Span(np.array(self.values[low]), np.array(self.values[high]), True)
        mean, std = self.get('mean'), self.get('std')
        if mean is None or std is None:
            return None
        return Span(mean - _SPREAD * std, mean + _SPREAD * std, False)

    def are_of_imagenet(self) -> bool:
        mean = self.get('mean')
        return mean is not None and np.allclose(mean, _IMAGENET_MEAN, atol=1e-3)

    def check_order(self, where: str) -> None:
        """Refuse what no data can have: a mean outside of the extremes, a negative std."""
        std = self.get('std')
        if std is not None and (std < 0).any():
            raise UserError(f'{where}.std is negative: {std.tolist()}; the file is broken')
        pairs = (('min', 'max'), ('min', 'mean'), ('mean', 'max'), ('q01', 'q99'), ('q10', 'q90'))
        for lower, upper in pairs:
            low, high = self.get(lower), self.get(upper)
            if low is None or high is None:
                continue
            # A mean of float32 is not exact.
            wrong = low - high > 1e-3 * (1 + np.abs(low) + np.abs(high))
            if wrong.any():
                i = int(np.argmax(wrong))
                raise UserError(
                    f'{where}: {lower} {low[i]:g} is above {upper} {high[i]:g} (element {i}); '
                    'these are not the statistics of one dataset'
                )


def doubts_of_units(name: str, statistics: Statistics) -> list[str]:
    """Hold joint statistics of the feature `name` against what the robot's units allow.

    Raises UserError for what is certainly in other units; returns what is only likely.
    """
    span = statistics.span()
    if span is None:
        return []
    doubts = []
    widest = float(np.maximum(np.abs(span.low), np.abs(span.high))[_ARM].max())
    if widest <= _RADIANS:
        text = (
            f'{name} of training stays within {widest:.2f} in every arm joint: radians, where the '
            'robot speaks degrees; record the dataset in degrees'
        )
        if span.measured:
            raise UserError(text)
        doubts.append(text)
    elif span.measured and span.low[GRIPPER] >= -0.3 and span.high[GRIPPER] <= 2.0:
        doubts.append(
            f'the gripper in {name} of training stays within {span.low[GRIPPER]:.2f} and '
            f'{span.high[GRIPPER]:.2f}, where the robot speaks 0 (closed) to 100 (open)'
        )
    mean = statistics.get('mean')
    middle = (span.low + span.high) / 2 if mean is None else mean
    for i, joint in enumerate(JOINTS):
        limits = f"the robot's range is {_LOW[i]:.0f} to {_HIGH[i]:.0f}"
        if not _LOW[i] - _MEAN_BEYOND <= middle[i] <= _HIGH[i] + _MEAN_BEYOND:
            raise UserError(
                f'{joint} in {name} of training stands at {middle[i]:.1f} on average, {limits}: '
                'other units or another calibration; use a checkpoint trained on this robot'
            )
        if span.measured and (
            span.low[i] < _LOW[i] - _EXTREME_BEYOND or span.high[i] > _HIGH[i] + _EXTREME_BEYOND
        ):
            doubts.append(
                f'{joint} in {name} of training goes from {span.low[i]:.1f} to {span.high[i]:.1f},'
                f' {limits}: other units or another calibration?'
            )
    if span.measured and _looks_like_percent(span):
        doubts.append(
            f'every arm joint in {name} of training ends at 100: LeRobot records that with '
            'use_degrees=false, where the robot speaks degrees'
        )
    return doubts


def doubts_of_agreement(state: Statistics, action: Statistics) -> list[str]:
    """Hold the state's range against the action's: an arm is near where it was sent."""
    reached, sent = state.span(), action.span()
    if reached is None or sent is None:
        return []
    gaps = np.maximum(sent.low - reached.high, reached.low - sent.high)
    i = int(np.argmax(gaps))
    if gaps[i] <= _APART:
        return []
    text = (
        f'{JOINTS[i]} of training was sent to {sent.low[i]:.1f} to {sent.high[i]:.1f}, but stood '
        f'at {reached.low[i]:.1f} to {reached.high[i]:.1f}: state and action differ in units or '
        'calibration'
    )
    if reached.measured and sent.measured:
        raise UserError(f'{text}; record the dataset again')
    return [text]


def differ(one: Statistics, other: Statistics) -> bool:
    """Whether mean or std, where both have it, are of different data."""
    scale = one.get('std')
    for name in ('mean', 'std'):
        a, b = one.get(name), other.get(name)
        if a is not None and b is not None:
            allowed = 1e-3 + 0.01 * (np.abs(a) if scale is None else scale)
            if a.shape != b.shape or (np.abs(a - b) > allowed).any():
                return True
    return False


def _looks_like_percent(span: Span) -> bool:
    """Whether LeRobot's -100 to 100 is likely: it clips there, so that an end stop reads 100.0."""
    ends = np.maximum(np.abs(span.low), np.abs(span.high))[_ARM]
    return bool((ends <= 100.001).all() and (ends >= 99.9).any())
