"""What the cameras see of a scripted motion, drawn: a table with grain, an arm, a cube, a bowl."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER
from so101_training.scripted.motion import Motion, fingers

Picture = NDArray[np.uint8]

_NOISES = 8  # pictures of noise that are taken in turns, shifted


class Studio:
    """Draws the pictures of one episode. `light`: 1 is bright, 0.35 a dim room.

    `noise`: standard deviation of a pixel, of 0 to 255. `smear`: exposure, as a part of a frame's
    time, over which fast motion is blurred.
    """

    def __init__(
        self,
        motion: Motion,
        size: tuple[int, int],
        random: np.random.Generator,
        light: float = 1.0,
        noise: float = 2.5,
        smear: float = 0.3,
    ) -> None:
        self._motion = motion
        self._height, self._width = size
        self._light, self._noise, self._smear = light, noise, smear
        self._random = random
        self._cube = fingers(np.array([motion.plan.pan, 5 + motion.plan.reach, 38, 0, 0, 0]))
        self._colour = tuple(int(c) for c in random.integers((150, 20, 20), (230, 90, 90)))
        self._shift = random.uniform(0, 20, 2)

    def picture(self, camera: str, index: int) -> Picture:
        """Return the rgb8 picture of a camera, (height, width, 3), at a sample of the motion."""
        seen = self._overhead(index) if camera == 'overhead' else self._wrist(index)
        noise = _noises(self._height, self._width)[int(self._random.integers(_NOISES))]
        noise = np.roll(noise, self._random.integers(0, 99, 2), (0, 1))
        lit = seen.astype(np.float32) * self._light + self._noise * noise[..., None]
        return np.clip(lit, 0, 255).astype(np.uint8)

    def _overhead(self, index: int) -> Picture:
        scale = self._height / 0.42
        picture = _table(self._height, self._width).copy()

        def at(point: NDArray[np.float64]) -> tuple[int, int]:
            """Return pixels, times 16, of a point: forward is up, left is left."""
            x = self._width / 2 - point[1] * scale
            y = self._height * 0.92 - point[0] * scale
            return round(x * 16), round(y * 16)

        bowl = fingers(np.array([-28.0, -20, 40, 0, 0, 0]))
        thick = max(round(self._height / 16), 2)
        cv2.circle(picture, at(bowl), round(0.045 * scale * 16), (70, 90, 150), -1, cv2.LINE_AA, 4)
        cv2.circle(picture, at(bowl), round(0.033 * scale * 16), (40, 55, 110), -1, cv2.LINE_AA, 4)
        state = self._motion.state[index].astype(np.float64)
        tip = fingers(state)
        cube = bowl if self._motion.dropped[index] else self._cube
        if self._motion.held[index]:
            cube = tip
        self._square(picture, at(cube), 0.014 * scale)
        elbow = tip * 0.5 + 0.03 * np.array([0.0, 1.0]) * np.cos(np.deg2rad(state[2]))
        cv2.line(picture, at(np.zeros(2)), at(elbow), (240, 235, 225), thick, cv2.LINE_AA, 4)
        cv2.line(
            picture, at(elbow), at(tip), (225, 215, 200), max(thick * 3 // 4, 1), cv2.LINE_AA, 4
        )
        turn = np.arctan2(tip[1], tip[0]) + np.deg2rad(state[4] - 90)
        wide = 0.008 + 0.028 * state[GRIPPER] / 100
        across = np.array([-np.sin(turn), np.cos(turn)])
        along = np.array([np.cos(turn), np.sin(turn)])
        for side in (-1, 1):
            jaw = tip + side * wide * across
            cv2.line(picture, at(jaw), at(jaw + 0.03 * along), (30, 30, 30), max(thick // 3, 1),
                     cv2.LINE_AA, 4)  # fmt: skip
        return picture

    def _wrist(self, index: int) -> Picture:
        state = self._motion.state[index].astype(np.float64)
        before = self._motion.state[max(index - 1, 0)].astype(np.float64)
        steps = 3 if self._smear and np.abs(state - before)[:3].max() > 1.0 else 1
        seen: NDArray[np.float32] = np.zeros((self._height, self._width, 3), np.float32)
        for step in range(steps):
            part = 1 - self._smear * step / steps
            seen += self._ground(before + part * (state - before), index)
        picture = (seen / steps).astype(np.uint8)
        gap = (0.06 + 0.5 * state[GRIPPER] / 100) * self._width / 2
        base, tip = self._height, self._height * 0.55
        for side in (-1, 1):
            x = self._width / 2 + side * gap
            outer = x + side * self._width * 0.07
            shape = np.array([[x, tip], [outer, tip], [outer + side * 8, base], [x, base]])
            cv2.fillConvexPoly(picture, np.rint(shape * 16).astype(np.int32), (35, 35, 40),
                               cv2.LINE_AA, 4)  # fmt: skip
        if self._motion.held[index]:
            self._square(picture, (self._width * 8, round(self._height * 0.62) * 16),
                         self._width * 0.16)  # fmt: skip
        return picture

    def _ground(self, state: NDArray[np.float64], index: int) -> Picture:
        """Return the table as the wrist sees it: it slides, turns and grows with the joints."""
        ground = _ground(self._height, self._width)
        tip = fingers(state) * self._height / 0.12
        turn = state[0] + 0.3 * (state[4] - 90)
        near = 1.0 + 0.35 * np.sin(np.deg2rad(state[1] + state[2] + state[3]))
        centre = (ground.shape[1] / 2 - tip[1] + self._shift[0],
                  ground.shape[0] / 2 - tip[0] + self._shift[1])  # fmt: skip
        matrix: NDArray[np.float64] = cv2.getRotationMatrix2D(centre, turn, near)  # type: ignore[assignment]
        matrix[:, 2] += np.array([self._width / 2, self._height / 2]) - centre
        if not self._motion.held[index] and not self._motion.dropped[index]:
            ground = ground.copy()
            away = self._cube * self._height / 0.12
            self._square(ground, (round((ground.shape[1] / 2 - away[1] + self._shift[0]) * 16),
                                  round((ground.shape[0] / 2 - away[0] + self._shift[1]) * 16)),
                         self._width * 0.12)  # fmt: skip
        return cv2.warpAffine(  # type: ignore[return-value]
            ground, matrix, (self._width, self._height), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip

    def _square(self, picture: Picture, centre: tuple[int, int], half: float) -> None:
        x, y = centre
        size = round(half * 16)
        cv2.rectangle(picture, (x - size, y - size), (x + size, y + size), self._colour, -1,
                      cv2.LINE_AA, 4)  # fmt: skip


@cache
def _noises(height: int, width: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return [random.normal(0, 1, (height, width)).astype(np.float32) for _ in range(_NOISES)]


@cache
def _grain(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return -1 to 1: coarse stains with fine grain."""
    random = np.random.default_rng(seed)
    grain = np.zeros((height, width), np.float32)
    for size, weight in ((6, 0.5), (25, 0.35), (80, 0.25)):
        small = random.normal(0, 1, (size, size * width // height)).astype(np.float32)
        grain += weight * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(grain, -1, 1)


@cache
def _table(height: int, width: int) -> Picture:
    table = np.empty((height, width, 3), np.float32)
    table[:] = (150, 125, 100)
    table += 18 * _grain(height, width, 1)[..., None]
    for y in range(0, height, max(height // 5, 1)):
        table[y : y + max(height // 120, 1)] -= 25
    table[:, : width // 12] = (60, 65, 70)
    return table.clip(0, 255).astype(np.uint8)


@cache
def _ground(height: int, width: int) -> Picture:
    """Return the table from near: twice as large as a picture."""
    table = np.empty((2 * height, 2 * width, 3), np.float32)
    table[:] = (155, 130, 105)
    table += 22 * _grain(2 * height, 2 * width, 2)[..., None]
    step = max(height // 3, 1)
    for x in range(0, 2 * width, step):
        table[:, x : x + max(height // 60, 1)] -= 35
    for y in range(0, 2 * height, step):
        table[y : y + max(height // 60, 1)] -= 35
    return table.clip(0, 255).astype(np.uint8)
