"""When an inference starts, and what becomes of its chunk of actions; pure.

Time is in nanoseconds of the one clock: action i of a chunk belongs to the time of its observation
plus i ticks of 1/fps, whenever the chunk arrives and whatever is left of the one before; only in
sync mode a chunk begins when it comes. Nothing here reads a clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from so101_description.joints import GRIPPER
from so101_policy.delay import Delays
from so101_policy.plan import Array, Limits, Plan, braking, following, standing


class Mode(StrEnum):
    """What is made of chunks; see Schedule."""

    RTC = 'rtc'
    ENSEMBLE = 'ensemble'
    SYNC = 'sync'


# The arm's last plan and a new chunk differ where they meet: that is faded out in 10 ticks (8 to
# 12 did equally well). Not the gripper's: it would close too late on an object.
_FADE = 10

# Guidance ties a chunk to what is decided for so many actions behind the delay, ever more loosely.
# More hold the policy to what it saw long ago, fewer let it change its mind (docs/chunking.md).
_TIED = 15

# To lead an arm to where it is.
_LEAD_SECONDS = 1.0

# Temporal ensembling: the weight of a chunk, exp(-m i), i counting from the oldest (Zhao et al.,
# Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware, 2023, m = 0.01).
_AGEING = 0.01


@dataclass(frozen=True)
class Guidance:
    """What real-time chunking ties a chunk to.

    `prefix`, shape (P, 6): the actions from the observation on that are already decided. The
    first `delay` of them will be over when the chunk arrives; from action `horizon` on it is free.
    """

    prefix: Array
    delay: int
    horizon: int

    def values(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {'prefix': self.prefix.tolist(), 'delay': self.delay, 'horizon': self.horizon}


@dataclass(frozen=True)
class _Chunk:
    """Actions from the time of an observation on, radians."""

    observed: int
    tick: float
    actions: Array

    @property
    def end(self) -> int:
        """When its last action is due."""
        return self.observed + round((len(self.actions) - 1) * self.tick * 1e9)

    def at(self, times: NDArray[np.int64]) -> Array:
        """Return the actions at times, shape (T, 6)."""
        ticks = np.clip((times - self.observed) * 1e-9 / self.tick, 0, len(self.actions) - 1)
        if len(self.actions) == 1:
            return np.repeat(self.actions, len(ticks), axis=0)
        return np.asarray(CubicSpline(np.arange(len(self.actions)), self.actions)(ticks))


class Schedule:
    """The plan that is being executed, and when the policy is asked for the next chunk.

    Modes: `rtc` asks again `interval` ticks after the last observation, guided by what is already
    decided; `ensemble` does so too, and executes the mean of all chunks; `sync` asks when the
    actions have run out, and executes whole chunks. Every plan ends at rest: without a next chunk
    the arm slows down and holds.
    """

    def __init__(self, fps: float, mode: Mode, limits: Limits, interval: int) -> None:
        self._tick = 1 / fps
        self._mode = Mode(mode)
        self._limits = limits
        self._interval = interval
        self._delays = Delays()
        self.plan: Plan | None = None
        self._due: float | None = None
        self.asked: int | None = None  # capture time of what is being inferred
        self._chunks: list[_Chunk] = []  # that the plan follows, the oldest first
        self._last_action = 0  # when the last of their actions is due
        self._length = 0  # actions of the last chunk

    def start(self, now: int, pose: Array) -> None:
        """Begin with the arm at rest at `pose`, shape (6,), radians, unless a plan still runs.

        The first observation is the first that is captured from then on.
        """
        if self.plan is None or now >= self.plan.end:
            self.stand(now, pose)
        else:
            self.forget(now)

    def stand(self, now: int, pose: Array) -> None:
        """Begin anew from an arm that stands at `pose`, whatever was planned."""
        self.plan = standing(pose, now, self._tick)
        self.forget(now)

    def forget(self, now: int) -> None:
        """Begin anew amid the motion: what was asked for is not heard, and asked for again."""
        self._chunks.clear()
        self._last_action = now
        self.asked = None
        self._due = float(now)

    def stop(self) -> None:
        """Ask for nothing more; what was asked for is not heard."""
        self.asked = None
        self._due = None

    def is_due(self, captured: int) -> bool:
        """Whether an observation captured at that time is the one to infer next.

        The nearest one to the due time is, so a camera that jitters by less than half a tick is
        observed every `interval` frames exactly.
        """
        if self._due is None or self.asked is not None or self.plan is None:
            return False
        if self._mode is Mode.SYNC and captured < self._last_action:
            return False
        return captured >= self._due - self._tick * 0.5e9

    def ask(self, captured: int) -> Guidance | None:
        """Note that the inference of that observation starts; return what is to guide it."""
        assert self.plan is not None
        self.asked = captured
        self._due = captured + self._interval * self._tick * 1e9
        delay = self._delays.foreseen()
        if self._mode is not Mode.RTC or delay is None or delay >= self._length:
            return None
        # What the plan adds behind the last action, to come to rest, is decided only for as long
        # as the inference takes: it must not keep the policy from going on.
        left = int((self._last_action - captured) * 1e-9 / self._tick) + 1
        count = min(max(left, delay, 1), self._length)
        times = captured + _ticks(np.arange(count), self._tick)
        return Guidance(self.plan.at(times), delay, delay + _TIED)

    def starving(self, now: int) -> bool:
        """Whether the actions have run out, so that the arm stands or is about to."""
        return self._due is not None and now > self._last_action

    def answer(self, actions: Array, now: int) -> Plan | None:
        """Return the plan that takes over at `now`.

        `actions`, shape (T, 6), radians, are those of the observation asked for last. None, and
        the plan remains, when all of them are already in the past, or nothing was asked for since
        the start.
        """
        observed, self.asked = self.asked, None
        if observed is None or self.plan is None:
            return None
        self._length = len(actions)
        self._delays.add(max(now - observed, 0) * 1e-9 / self._tick)
        if self._mode is Mode.SYNC:
            observed = now
        chunk = _Chunk(observed, self._tick, actions)
        if int((chunk.end - now) * 1e-9 / self._tick) < 1:
            return None
        if self._mode is not Mode.ENSEMBLE:
            self._chunks.clear()
        self._chunks.append(chunk)
        self._last_action = max(chunk.end for chunk in self._chunks)
        ticks = np.arange(1 + int((self._last_action - now) * 1e-9 / self._tick))
        times = now + _ticks(ticks, self._tick)
        wanted = self._mean(times)
        apart = self.plan.at(now)[0] - wanted[0]
        apart[GRIPPER] = 0.0
        wanted += apart * _fading(ticks, _FADE)[:, None]
        self.plan = following(self.plan, now, wanted[1:], self._limits)
        return self.plan

    def lead(self, now: int, pose: Array) -> Plan:
        """Return the plan that leads the arm to rest at `pose`, shape (6,), and takes over."""
        assert self.plan is not None
        self._chunks.clear()
        self._last_action = now
        count = round(_LEAD_SECONDS / self._tick)
        way = _fading(np.arange(1, count + 1), count)[:, None]
        wanted = pose + (self.plan.at(now) - pose) * way
        self.plan = following(self.plan, now, wanted, self._limits)
        return self.plan

    def brake(self, now: int) -> Plan:
        """Return the plan that brings the arm to rest from `now` on, and takes over."""
        assert self.plan is not None
        self._chunks.clear()
        self._last_action = now
        self.plan = braking(self.plan, now, self._limits)
        return self.plan

    def _mean(self, times: NDArray[np.int64]) -> Array:
        """Return the weighted mean of the chunks at times, shape (T, 6)."""
        self._chunks = [chunk for chunk in self._chunks if chunk.end > times[0]]
        weights = np.exp(-_AGEING * np.arange(len(self._chunks)))[:, None]
        weights = weights * [times <= chunk.end + 1 for chunk in self._chunks]
        weights /= weights.sum(axis=0)
        rows = [
            chunk.at(times) * w[:, None] for chunk, w in zip(self._chunks, weights, strict=True)
        ]
        return np.sum(rows, axis=0)


def _ticks(count: NDArray[np.int64], tick: float) -> NDArray[np.int64]:
    return np.round(count * tick * 1e9).astype(np.int64)


def _fading(ticks: NDArray[np.int64], count: int) -> Array:
    """Return weights from one to zero in `count` ticks, as smooth as a motion of least jerk."""
    s = np.clip(ticks / count, 0, 1)
    return np.asarray(1 - s**3 * (10 - 15 * s + 6 * s * s))
