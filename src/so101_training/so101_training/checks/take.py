"""An episode as the checks see it, wherever it comes from: a dataset or a bag; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS
from so101_training.checks.finding import Finding
from so101_training.checks.picture import Measures

Floats = NDArray[np.float64]

# The joints of the arm, without the gripper; and those that carry the whole arm, so that every
# camera sees them move.
ARM = [i for i in range(len(JOINTS)) if i != GRIPPER]
CARRYING = [JOINTS.index(name) for name in ('shoulder_pan', 'shoulder_lift', 'elbow_flex')]

# Hz: the suite's cameras and its policies, for recordings that do not say their rate.
RATE = 30.0


@dataclass(frozen=True)
class Signal:
    """Six joints: `seconds` (n,) from the episode's start, `values` (n, 6) in dataset units.

    Ascending, and finite: what was not is left out, and told among the take's faults.
    """

    seconds: Floats
    values: Floats

    def at(self, seconds: Floats) -> Floats:
        """Interpolate linearly, (len(seconds), 6); the ends are held."""
        return np.stack([np.interp(seconds, self.seconds, v) for v in self.values.T], axis=1)

    def travel(self, start: float, end: float, joints: Sequence[int] = CARRYING) -> float:
        """Return the largest range of one of `joints` between two times, dataset units."""
        between = (self.seconds >= start) & (self.seconds <= end)
        found = self.values[between][:, joints]
        return float(np.ptp(found, axis=0).max()) if len(found) else 0.0


@dataclass(frozen=True)
class Pictures:
    """One camera's pictures: when each was taken, and what was measured of it.

    `seconds` (n,) from the episode's start; `arrived` (n,) the same of the receipt, None where it
    is not known; `damaged`: how many could not be decoded; `trouble`: why some are not there.
    """

    seconds: Floats
    measures: Measures
    arrived: Floats | None = None
    damaged: int = 0
    trouble: str = ''


@dataclass(frozen=True)
class Substitution:
    """Samples that the conversion had to make up, of one stream and kind.

    `kind`: repeated, late, dropped or interpolated. `longest`: seconds of the longest stretch.
    """

    stream: str
    kind: str
    samples: int
    longest: float


@dataclass(frozen=True)
class Take:
    """One episode. `fps` None: every sample has a stamp of its own, as in a bag.

    `state`, `action`: None where there is none that can be read as six joints. `faults`: what was
    found while it was read.
    """

    number: int
    name: str
    tasks: tuple[str, ...]
    outcome: str
    reason: str
    fps: float | None
    duration: float
    state: Signal | None
    action: Signal | None
    pictures: Mapping[str, Pictures]
    faults: tuple[Finding, ...] = ()
    substitutions: tuple[Substitution, ...] = ()


@dataclass(frozen=True)
class Collection:
    """All that is checked together. `statistics`: meta/stats.json, {} for bags.

    `faults`: what was found that is about no single episode.
    """

    title: str
    takes: tuple[Take, ...]
    dataset: bool
    statistics: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Finding, ...] = ()

    @property
    def cameras(self) -> list[str]:
        return list(dict.fromkeys(name for take in self.takes for name in take.pictures))
