"""The world of the chunking benchmark: a motion on a clock, an arm that lags, slow inference.

Units are those of method.py; the gripper's 0 to 100 is counted like degrees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from chunks.method import RATE, Array, Sent

TICKS = 420  # 14 s
CHUNK = 50  # actions: SmolVLA's default
LAG = 0.08  # s: the first-order lag of an STS3215 under LeRobot's gains
ENCODER = 360 / 4096  # degrees: one step of the STS3215

# Between these the arm moves: a human hand's amplitudes on a table in front of an SO-101.
_LOW = np.array([-40.0, -60.0, -20.0, -10.0, -30.0, 50.0])
_HIGH = np.array([40.0, 10.0, 50.0, 50.0, 30.0, 60.0])

# Around an obstacle: the shoulder pans, the wrist rolls along. A unit vector, and degrees.
SIDE = np.array([0.9, 0.0, 0.0, 0.0, np.sqrt(1 - 0.9**2), 0.0])
_DETOUR = 20.0

_DECAY = np.exp(-1 / (RATE * LAG))

Modes = tuple[int, ...]  # of each decision, -1 or 1


@dataclass(frozen=True)
class Decision:
    """Around the left or around the right, equally good: `shape` (ticks,) is how far, degrees."""

    start: int
    stop: int
    shape: Array
    lagging: Array

    @property
    def window(self) -> NDArray[np.intp]:
        """The ticks in which the two ways are at least half a detour from the middle."""
        return np.flatnonzero(self.shape > _DETOUR / 2)


class Motion:
    """What a demonstrator does: reach, grasp, carry around an obstacle, let go, again.

    It runs on the world's clock, as at a conveyor: who stands still falls behind. It is known for
    CHUNK ticks more than are executed.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng((1, seed))
        length = TICKS + CHUNK + 1
        pose = random.uniform(_LOW, _HIGH)
        poses = [np.tile(pose, (24, 1))]  # 0.8 s at rest: the first inference
        decisions = []
        ticks = 24
        while ticks < length:
            for name, low, high in (
                ('reach', 1.6, 2.2),
                ('grasp', 0.8, 1.2),
                ('carry', 2.0, 2.6),
                ('let go', 0.8, 1.2),
            ):
                count = round(random.uniform(low, high) * RATE)
                goal = random.uniform(_LOW, _HIGH)
                if name in ('grasp', 'let go'):  # the gripper, and a little of the wrist
                    goal[:3] = pose[:3]
                    goal[3:5] = pose[3:5] + random.uniform(-4, 4, 2)
                    goal[5] = random.uniform(15, 25) if name == 'grasp' else random.uniform(50, 60)
                else:
                    goal[5] = pose[5]
                if name == 'carry':
                    decisions.append((ticks, ticks + count))
                poses.append(_moved(pose, goal, count, random))
                pose = goal
                ticks += count
        self._base = np.concatenate(poses)[:length]
        self._lagging = lagged(self._base)
        self.start = self._base[0]
        self.decisions = [
            _decision(start, stop, length) for start, stop in decisions if stop <= TICKS
        ]

    def reference(self, modes: Modes) -> Array:
        """Return what is commanded, (ticks, 6), where decision n goes to the side modes[n]."""
        return self._base + self._aside(modes, [each.shape for each in self.decisions])

    def follower(self, modes: Modes) -> Array:
        """Return where the demonstrator's arm is at each tick, (ticks, 6)."""
        return self._lagging + self._aside(modes, [each.lagging for each in self.decisions])

    def open_modes(self, tick: int) -> Iterator[Modes]:
        """Return the ways that differ in the chunk that begins at a tick; others count as 0."""
        yield from product(
            *(
                (-1, 1) if each.start < tick + CHUNK and each.stop + 15 > tick else (0,)
                for each in self.decisions
            )
        )

    def aside(self, positions: Array) -> Array:
        """Return how far positions (ticks, 6), from tick 0 on, are beside the middle way."""
        return (positions - self._base[: len(positions)]) @ SIDE

    def _aside(self, modes: Modes, shapes: list[Array]) -> Array:
        total = sum(
            (mode * shape for mode, shape in zip(modes, shapes, strict=True)),
            np.zeros(len(self._base)),
        )
        return np.outer(total, SIDE)


def _moved(pose: Array, goal: Array, count: int, random: np.random.Generator) -> Array:
    """Return minimum-jerk moves, (count, 6); the joints do not all start and end together."""
    begin = random.uniform(0.0, 0.1, 6)
    end = random.uniform(0.9, 1.0, 6)
    s = np.clip((np.arange(1, count + 1)[:, None] / count - begin) / (end - begin), 0, 1)
    return pose + (goal - pose) * s**3 * (10 - 15 * s + 6 * s**2)


def _decision(start: int, stop: int, length: int) -> Decision:
    s = np.clip((np.arange(length) - start) / (stop - start), 0, 1)
    shape = _DETOUR * 64 * s**3 * (1 - s) ** 3
    return Decision(start, stop, shape, lagged(shape))


def lagged(commands: Array) -> Array:
    """Return where an arm is at each tick, (ticks, ...), that holds each command for a tick."""
    found = np.empty_like(commands)
    position = commands[0]
    for tick, command in enumerate(commands):
        found[tick] = position
        position = command + (position - command) * _DECAY
    return found


class Arm:
    """Six first-order lags."""

    def __init__(self, pose: Array) -> None:
        self.position = pose
        self.command = pose

    def measured(self) -> Array:
        """Return the position as the encoders have it."""
        return np.round(self.position / ENCODER) * ENCODER

    def follow(self, sent: Sent) -> Array:
        """Let a tick pass; return the command in its middle."""
        middle = self.command
        now = 0.0
        for offset, command in sent:
            self._pass(offset - now)
            now, self.command = offset, command
            if offset <= 0.5:
                middle = command
        self._pass(1 - now)
        return middle

    def _pass(self, ticks: float) -> None:
        self.position = self.command + (self.position - self.command) * _DECAY**ticks


@dataclass(frozen=True)
class Timing:
    """How long inferences take, in seconds."""

    name: str
    seconds: float
    jitter: float = 0.0  # up to this part more or less
    first: float | None = None
    spikes: float = 0.0  # the part of the inferences that take `spike` longer
    spike: float = 0.9

    def durations(self, seed: int) -> Iterator[float]:
        """Yield how long each inference takes, in ticks: the same ones to every method."""
        random = np.random.default_rng((2, seed))
        first = True
        while True:
            wobble, lot = random.uniform(-1, 1), random.uniform()
            seconds = self.seconds * (1 + self.jitter * wobble)
            if lot < self.spikes:
                seconds += self.spike
            if first and self.first is not None:
                seconds = self.first
            first = False
            yield round(seconds * RATE, 6)


TIMINGS = (
    *(Timing(f'{ms} ms', ms / 1e3) for ms in (0, 100, 200, 300)),
    *(Timing(f'{ms} ms +-20 %', ms / 1e3, jitter=0.2) for ms in (100, 200, 300)),
    Timing('spikes', 0.2, first=0.7, spikes=0.04),
)
