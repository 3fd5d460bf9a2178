"""What goes wrong with pictures and joints, on purpose; each returns what it was given, spoilt."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_training.scripted.drawing import Picture
from so101_training.scripted.motion import Motion
from so101_training.scripted.scene import Camera


def black(camera: Camera, start: int, stop: int, level: int = 0) -> Camera:
    """Blacken the pictures of a range; `level`: how bright black is, of 0 to 255."""
    return _within(camera, start, stop, lambda p, _: np.full_like(p, level))


def frozen(camera: Camera, start: int, stop: int) -> Camera:
    """Repeat the picture of `start` until `stop`."""
    return lambda index: camera(start if start <= index < stop else index)


def slowed(camera: Camera, start: int, stop: int, every: int = 2) -> Camera:
    """Deliver only each `every`-th picture of a range; the others are the one before."""
    return lambda index: camera(
        index - (index - start) % every if start <= index < stop else index
    )


def blurred(camera: Camera, start: int, stop: int, sigma: float) -> Camera:
    """Put the pictures out of focus, by a Gaussian of `sigma` pixels."""
    return _within(camera, start, stop, lambda p, _: cv2.GaussianBlur(p, (0, 0), sigma))  # type: ignore[arg-type,return-value]


def overexposed(camera: Camera, start: int, stop: int, gain: float) -> Camera:
    """Make the pictures `gain` times as bright."""
    return _within(
        camera,
        start,
        stop,
        lambda p, _: np.clip(p.astype(np.float32) * gain, 0, 255).astype(np.uint8),
    )


def torn(
    camera: Camera, indices: NDArray[np.int64], random: np.random.Generator, kind: str
) -> Camera:
    """Tear pictures at a random row: what is below is 'shifted', 'grey' or 'green'."""
    places = {int(i): (random.uniform(0.15, 0.8), random.uniform(0.12, 0.5)) for i in indices}

    def picture(index: int) -> Picture:
        seen = camera(index)
        if index not in places:
            return seen
        at, by = places[index]
        row = round(at * seen.shape[0])
        spoilt = seen.copy()
        if kind == 'shifted':
            spoilt[row:] = np.roll(seen[row:], round(by * seen.shape[1]), axis=1)
        else:
            spoilt[row:] = (128, 128, 128) if kind == 'grey' else (0, 135, 0)
        return spoilt

    return picture


def late(camera: Camera, samples: int) -> Camera:
    """Deliver what the camera saw some samples ago."""
    return lambda index: camera(max(index - samples, 0))


def _within(camera: Camera, start: int, stop: int, spoil) -> Camera:  # type: ignore[no-untyped-def]
    def picture(index: int) -> Picture:
        seen = camera(index)
        return spoil(seen, index) if start <= index < stop else seen

    return picture


def shifted(motion: Motion, samples: int) -> Motion:
    """Let the state come so many samples later (negative: earlier) than it did."""
    rows = np.clip(np.arange(len(motion.state)) - samples, 0, len(motion.state) - 1)
    return replace(motion, state=motion.state[rows])


def lost(motion: Motion, part: float) -> Motion:
    """Let what is held slip out after a part of the way: the gripper closes as it is told."""
    held = np.flatnonzero(motion.held)
    start = int(held[int(part * (len(held) - 1))])
    state = motion.state.copy()
    state[start : held[-1] + 1, GRIPPER] = motion.action[start : held[-1] + 1, GRIPPER]
    there = np.arange(len(motion.held)) < start
    return replace(motion, state=state, held=motion.held & there, dropped=motion.dropped & False)


def blocked(motion: Motion, joint: int, start: int, stop: int, by: float) -> Motion:
    """Keep a joint `by` degrees from where it was, for a while."""
    state = motion.state.copy()
    ramp = np.clip(
        np.minimum(np.arange(stop - start) / 4, np.arange(stop - start)[::-1] / 4), 0, 1
    )
    state[start:stop, joint] += by * ramp
    return replace(motion, state=state)


def beyond(motion: Motion, joint: int, start: int, stop: int, by: float) -> Motion:
    """Take a joint `by` degrees beyond its upper limit, in state and action."""
    part = np.sin(np.linspace(0, np.pi, stop - start))
    return _taken_to(motion, joint, start, part, _upper(joint) + by)


def clipped(motion: Motion, joint: int, start: int, stop: int) -> Motion:
    """Hold the action of a joint at its upper limit; the state goes there, too."""
    edges = np.arange(stop - start) / 10
    part = np.clip(np.minimum(edges, edges[::-1]), 0, 1)
    return _taken_to(motion, joint, start, part, _upper(joint))


def _upper(joint: int) -> float:
    return float(np.rad2deg(URDF_LIMITS[JOINTS[joint]][1]))


def _taken_to(
    motion: Motion, joint: int, start: int, part: NDArray[np.float64], goal: float
) -> Motion:
    """Take a joint part of the way to a goal; the state does so as late as it does anything."""
    state, action = motion.state.copy(), motion.action.copy()
    late = round(motion.plan.lag / (motion.seconds[1] - motion.seconds[0]))
    for values, delay in ((action, 0), (state, late)):
        rows = slice(start + delay, min(start + delay + len(part), len(values)))
        some = part[: rows.stop - rows.start]
        values[rows, joint] += some * (goal - values[rows, joint])
    return replace(motion, state=state, action=action)


def in_units(motion: Motion, units: str) -> Motion:
    """Say the joints in 'radians', 'percent' (-100 to 100, as LeRobot clips it) or 'ticks'."""
    scale = np.array([np.rad2deg(high) for _, high in URDF_LIMITS.values()])

    def said(values: NDArray[np.float32]) -> NDArray[np.float32]:
        if units == 'radians':
            told = np.deg2rad(values)
        elif units == 'percent':
            told = np.clip(100 * values / scale, -100, 100)
            told[:, 5] = values[:, 5]
        else:
            told = 2048 + values * 4096 / 360
        return told.astype(np.float32)

    return replace(motion, state=said(motion.state), action=said(motion.action))


def paused(motion: Motion, at: int, samples: int) -> Motion:
    """Let nothing move for so many samples."""
    rows = np.concatenate((np.arange(at), np.full(samples, at), np.arange(at, len(motion.state))))
    return _taken(motion, rows)


def cut(motion: Motion, stop: int) -> Motion:
    """End the episode early."""
    return _taken(motion, np.arange(stop))


def wandering(motion: Motion, times: int) -> Motion:
    """Do the middle of the motion back and forth, so many times."""
    n = len(motion.state)
    middle = np.arange(n // 5, n // 2)
    rows = np.concatenate(
        (
            np.arange(n // 2),
            *[np.concatenate((middle[::-1], middle))] * times,
            np.arange(n // 2, n),
        )
    )
    return _taken(motion, rows)


def _taken(motion: Motion, rows: NDArray[np.int64]) -> Motion:
    return replace(
        motion,
        seconds=np.arange(len(rows)) * (motion.seconds[1] - motion.seconds[0]),
        action=motion.action[rows],
        state=motion.state[rows],
        held=motion.held[rows],
        dropped=motion.dropped[rows],
    )
