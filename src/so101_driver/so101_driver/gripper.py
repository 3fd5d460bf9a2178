"""Keeps the gripper's servo from burning while it squeezes; tells when it holds something; pure.

A gripper that is told to close on an object pulls with all it may. LeRobot lets it pull with half
of its torque, while its overload protection trips after two seconds above a quarter: the servo
then reports a fault in the middle of a good grasp. So once the jaw stands still short of its goal,
its torque limit is lowered to below the trip, at which a servo can pull for hours.
"""

# Radians that the jaw must be short of its goal to count as stalled: ordinary droop is 30 ticks.
_SHORT = 0.06

# Rad/s below which the jaw stands still.
_STILL = 0.15

# Nanoseconds of standing still until the limit is lowered; the trip comes after 2 s.
_PATIENCE = 300_000_000

# 0.1 %: this far below the trip.
_MARGIN = 50


class Gripper:
    """`full` and `trip` are the servo's torque limit and overload threshold, in 0.1 %."""

    def __init__(self, full: int, trip: int) -> None:
        self.full = full
        self.stalled = False
        self.on_object = False  # stalled while closing
        self._gentle = max(0, min(full, trip - _MARGIN))
        self._still_since = 0

    @property
    def limit(self) -> int:
        """The torque limit that the servo should have now, in 0.1 %."""
        return self._gentle if self.stalled else self.full

    def reset(self) -> None:
        """Torque is off, or comes on."""
        self.stalled = self.on_object = False
        self._still_since = 0

    def sense(self, now: int, reference: float, position: float, speed: float) -> None:
        """Take the time in ns, what the jaw was told and what it does; radians, rad/s."""
        short = position - reference  # positive while it wants to close further
        if abs(short) < _SHORT or (self.stalled and (short > 0) != self.on_object):
            self.reset()
        elif self.stalled:
            return
        elif abs(speed) > _STILL:
            self._still_since = 0
        elif not self._still_since:
            self._still_since = now
        elif now - self._still_since >= _PATIENCE:
            self.stalled, self.on_object = True, short > 0
