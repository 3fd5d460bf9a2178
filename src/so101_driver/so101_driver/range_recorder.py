"""How far one joint was moved by hand, past the place where its encoder starts again; pure."""

from typing import NamedTuple

from so101_driver.calibration import MAX_OFFSET, MAX_TICK
from so101_driver.registers import STEPS_PER_TURN

# The position that LeRobot gives to the pose in which calibration starts.
HALF_TURN = 2047

# A range that comes nearer to the seam than this is moved away from it: backlash and the bending
# of the arm carry a joint some ticks over its stop, and there position 0 would become 4095.
_MARGIN = 50

# Between two readings a hand moves a joint by less than this; more is a movement the other way
# around, or a wrong reading.
_MAX_STEP = STEPS_PER_TURN // 4


class Range(NamedTuple):
    """What the file and the servo keep, in ticks; positions are encoder steps less the offset."""

    homing_offset: int
    low: int
    high: int


class RangeRecorder:
    """Follows one joint's encoder (0 to 4095).

    `low`, `now` and `high` are ticks in LeRobot's numbering, where the first reading is 2047. They
    go on below 0 and above 4095. `lost` is set for good when the joint cannot have been followed.
    """

    def __init__(self, middle: int) -> None:
        self._middle = self._last = middle
        self.low = self.now = self.high = HALF_TURN
        self.lost = False

    @property
    def span(self) -> int:
        """Ticks from end to end."""
        return self.high - self.low

    def feed(self, encoder: int) -> None:
        """Take the next reading."""
        half = STEPS_PER_TURN // 2
        step = (encoder - self._last + half) % STEPS_PER_TURN - half
        self.lost |= abs(step) > _MAX_STEP
        self._last = encoder
        self.now += step
        self.low, self.high = min(self.low, self.now), max(self.high, self.now)

    def result(self) -> Range:
        """Return the range, in one piece between 0 and 4095.

        The offset is LeRobot's, which makes the first reading 2047, unless the range would then
        cross the seam or come near to it; then it is the one that has the range in the middle. A
        joint that went all the way round has the whole turn.
        """
        zero = self._middle - HALF_TURN  # the encoder step that is position 0
        if self.span >= MAX_TICK:
            return Range(_storable(zero), 0, MAX_TICK)
        if self.low < _MARGIN or self.high > MAX_TICK - _MARGIN:
            zero += (self.low + self.high) // 2 - HALF_TURN
        offset = _storable(zero)
        # Positions differ from those of `zero` by whole turns, and by what `_storable` had to add.
        low = (self.low + self._middle - HALF_TURN - offset) % STEPS_PER_TURN
        return Range(offset, low, low + self.span)


def _storable(zero: int) -> int:
    """Return the offset nearest to a step, modulo a turn, that fits the register's 11 bits."""
    offset = (zero + MAX_OFFSET) % STEPS_PER_TURN - MAX_OFFSET
    return min(offset, MAX_OFFSET)
