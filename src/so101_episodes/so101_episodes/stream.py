"""A motion sent bit by bit: whatever becomes of its sender, the arm soon slows down; pure."""

import numpy as np

from so101_episodes.move import Move

PERIOD = 0.2  # s from one bit to the next
LEAD = 0.1  # s from sending a bit to its taking over: the driver has it by then
HORIZON = 0.5  # s of the motion in a bit, before it brakes; the next may be 0.3 s late

# The hardest that a bit brakes, rad/s^2: from 3 rad/s it takes half a second. A third of the
# limit that the driver has by default.
BRAKING = 10.0
_STEP = 0.02  # s between the points of a braking


def bit(move: Move, begin: float, end: float) -> Move:
    """Return the points of `move` from `begin` to `end` (s, its own time), and a way to rest.

    There is no such way where the motion itself ends. The bit has a point at least.
    """
    first = min(int(np.searchsorted(move.times, begin)), len(move.times) - 1)
    last = max(int(np.searchsorted(move.times, end, side='right')), first + 1)
    part = Move(move.times[first:last], move.positions[first:last], move.velocities[first:last])
    return part if last == len(move.times) else _stopped(part)


def _stopped(part: Move) -> Move:
    """Return `part` with the points of a braking from its last one, all joints at once.

    The velocity falls as a cosine from 0 to pi does, which is hardest at half the time.
    """
    velocity = part.velocities[-1]
    duration = max(np.abs(velocity).max() * np.pi / 2 / BRAKING, _STEP)
    times = np.linspace(0.0, duration, int(np.ceil(duration / _STEP)) + 1)[1:, None]
    angle = np.pi * times / duration
    velocities = velocity * (1 + np.cos(angle)) / 2
    velocities[-1] = 0.0  # exactly: the driver refuses anything else
    positions = part.positions[-1] + velocity * (times + np.sin(angle) * duration / np.pi) / 2
    return Move(
        np.append(part.times, part.times[-1] + times),
        np.vstack([part.positions, positions]),
        np.vstack([part.velocities, velocities]),
    )
