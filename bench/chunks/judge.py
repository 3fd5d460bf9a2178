"""What is measured of an executed motion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chunks.method import Array
from chunks.world import TICKS, Modes, Motion
from so101_evaluation.smoothness import AROUND, jumps, second_differences

STILL = 0.02  # degrees per tick, L2: a command that moves less stands (0.6 degrees/s)
MOVING = 0.2  # degrees per tick, L2: a motion that is faster should go on (6 degrees/s)


@dataclass(frozen=True)
class Trace:
    """One executed motion: commands and positions (TICKS, 6), and the ticks of chunk changes."""

    motion: Motion
    commands: Array
    positions: Array
    changes: tuple[int, ...]  # the first tick commanded by each chunk but the first
    begun: int  # the first tick commanded by the first chunk

    def followed(self) -> Modes:
        """The sides on which the arm was half-way around each obstacle."""
        beside = self.motion.aside(self.positions)
        return tuple(
            1 if beside[(each.start + each.stop) // 2] > 0 else -1
            for each in self.motion.decisions
        )

    def reference(self) -> Array:
        return self.motion.reference(self.followed())[:TICKS]

    def jerk(self) -> float:
        """Return the RMS jerk of the commands, relative to the reference's."""
        after = slice(self.begun + AROUND, TICKS)
        mine, its = np.diff(self.commands[after], 3, 0), np.diff(self.reference()[after], 3, 0)
        return float(np.sqrt((mine**2).mean() / (its**2).mean()))

    def errors(self) -> Array:
        """Return how far the arm was from the reference, (ticks, 6), degrees."""
        after = slice(self.begun + AROUND, TICKS)
        return self.positions[after] - self.reference()[after]

    def stalled(self) -> NDArray[np.bool_]:
        """Return at which ticks the command stood although the motion should go on."""
        after = slice(self.begun, TICKS)
        mine = np.linalg.norm(np.diff(self.commands[after], axis=0), axis=1)
        its = np.linalg.norm(np.diff(self.reference()[after], axis=0), axis=1)
        return (mine < STILL) & (its > MOVING)

    def invalid(self) -> NDArray[np.bool_]:
        """Return at which ticks of decisions the command was nearer to the middle than a way."""
        beside = np.abs(self.motion.aside(self.commands))
        found = [
            beside[each.window] < each.shape[each.window] / 2 for each in self.motion.decisions
        ]
        return np.concatenate(found)

    def largest(self) -> float:
        return float(second_differences(self.commands)[self.begun + AROUND :].max())


@dataclass(frozen=True)
class Score:
    """What is reported of a method at a timing, over all motions."""

    j_mean: float
    j_p95: float
    j_arm_mean: float
    jerk: float
    tracking: float
    stall: float
    invalid: float
    largest: float
    changes: int


def judge(traces: list[Trace]) -> Score:
    commanded = np.concatenate([jumps(trace.commands, trace.changes) for trace in traces])
    arm = np.concatenate([jumps(trace.positions, trace.changes) for trace in traces])
    errors = np.concatenate([trace.errors() for trace in traces])
    return Score(
        j_mean=float(commanded.mean()),
        j_p95=float(np.percentile(commanded, 95)),
        j_arm_mean=float(arm.mean()),
        jerk=float(np.sqrt(np.mean([trace.jerk() ** 2 for trace in traces]))),
        tracking=float(np.sqrt((errors**2).mean())),
        stall=100 * float(np.concatenate([trace.stalled() for trace in traces]).mean()),
        invalid=100 * float(np.concatenate([trace.invalid() for trace in traces]).mean()),
        largest=max(trace.largest() for trace in traces),
        changes=len(commanded),
    )
