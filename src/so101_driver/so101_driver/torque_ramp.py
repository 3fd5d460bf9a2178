"""Torque that comes on gently, and only while nothing moves by itself; pure.

The goals are the present positions when torque comes on, so nothing should move. A servo that does
is going for a goal of its own: LeRobot's users have seen lunges of 49 degrees. With so little
torque at first such a servo barely starts, and is caught.
"""

from collections.abc import Sequence

SECONDS = 1.0

# Parts of the full torque: the least (a servo at 0 would take no part in the test), and up to
# where a joint must not move at all. Afterwards a joint sinks a little into its own droop.
_LEAST = 0.02
_WATCHED = 0.15

# Ticks (0.088 degrees each) that a joint may be off while it is watched, and afterwards. Droop
# under load is 20 to 30.
_STILL = 6
_DROOP = 90


class TorqueRamp:
    """`goals` are the present positions, but inside the limits, where the servos take them."""

    def __init__(self, start: int, positions: Sequence[int], goals: Sequence[int]) -> None:
        """Torque comes on at `start` (ns) with joints at `positions`; ticks."""
        self.goals = tuple(goals)
        self._start = start
        # A limp joint may lie a little outside its limits: it is drawn in, gently.
        self._ways = [sorted(way) for way in zip(positions, goals, strict=True)]

    def part(self, now: int) -> float:
        """Return the part of its full torque that a servo may use, up to 1 at the end."""
        done = min(1.0, max(0.0, (now - self._start) * 1e-9 / SECONDS))
        return max(_LEAST, done * done)

    def over(self, now: int) -> bool:
        return now - self._start >= SECONDS * 1e9

    def moved(self, now: int, positions: Sequence[int]) -> list[int]:
        """Return the joints that are further off their way (ticks) than they should be."""
        allowed = _STILL if self.part(now) <= _WATCHED else _DROOP
        return [
            joint
            for joint, ((low, high), position) in enumerate(
                zip(self._ways, positions, strict=True)
            )
            if not low - allowed <= position <= high + allowed
        ]
