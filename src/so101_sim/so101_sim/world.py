"""The physics: arm, cube and bowl, stepped by MuJoCo; pure."""

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_description.joints import HOME, JOINTS
from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE
from so101_node.error import UserError
from so101_sim.scene import (
    BOWL_CENTRE,
    BOWL_FLOOR_RADIUS,
    BOWL_HEIGHT,
    CUBE_SIZE,
    STALL_TORQUE,
    TIMESTEP,
)

Floats = NDArray[np.float64]

# The cube rests once it has been this slow (m/s, rad/s) for this long (s).
_REST_SPEED = 0.02
_REST_TURNING = 0.2
_REST_SECONDS = 0.5

# Metres around the square of the seeded places, within which the cube may be put all the same: in
# easy reach too, and clear of the bowl.
PLACE_MARGIN = 0.02

_ARM = slice(0, len(JOINTS))
_CUBE_POSITION = slice(len(JOINTS), len(JOINTS) + 3)
_CUBE_POSE = slice(len(JOINTS), len(JOINTS) + 7)
_CUBE_VELOCITY = slice(len(JOINTS), len(JOINTS) + 6)


def check_place(x: float, y: float) -> None:
    """Raise UserError for where the cube's centre cannot be put; metres."""
    (centre_x, centre_y), half = SQUARE_CENTRE, SQUARE_SIZE / 2 + PLACE_MARGIN
    # Of a number that is none, every comparison is false.
    if not (abs(x - centre_x) <= half and abs(y - centre_y) <= half):
        raise UserError(
            f'the cube cannot be put at x {x:g}, y {y:g}: give x {centre_x - half:g} to '
            f'{centre_x + half:g}, y {centre_y - half:g} to {centre_y + half:g}, metres'
        )


class World:
    """Starts with the arm at HOME, and the cube where `seed` puts it."""

    def __init__(self, model: mujoco.MjModel, seed: int) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._data.qpos[_ARM] = HOME
        self.reset(seed)

    @property
    def positions(self) -> Floats:
        """A copy of every coordinate, see scene.coordinate_names."""
        return self._data.qpos.copy()

    @property
    def angles(self) -> Floats:
        """The joints' angles, radians."""
        return self._data.qpos[_ARM].copy()

    @property
    def speeds(self) -> Floats:
        """The joints' speeds, rad/s."""
        return self._data.qvel[_ARM].copy()

    @property
    def torques(self) -> Floats:
        """The motors' torques as parts of their stall torque, -1 to 1."""
        return self._data.actuator_force / STALL_TORQUE

    def reset(self, seed: int, place: tuple[float, float] | None = None) -> None:
        """Put the cube, at rest, at the place and yaw of a seed; the arm stays where it is.

        At `place`, x and y in metres, instead of the seed's when it is given.
        """
        random = np.random.default_rng(seed)
        seeded = SQUARE_CENTRE + random.uniform(-0.5, 0.5, 2) * SQUARE_SIZE
        yaw = random.uniform(0.0, np.pi / 2)
        self.put_cube((*(place or seeded), CUBE_SIZE / 2), yaw)

    def put_cube(self, place: ArrayLike, yaw: float = 0.0) -> None:
        """Put the cube's centre, at rest, at x, y, z (metres)."""
        self._data.qpos[_CUBE_POSE] = [*np.asarray(place), np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        self._data.qvel[_CUBE_VELOCITY] = 0.0
        self._rested = 0.0
        mujoco.mj_forward(self._model, self._data)

    def step(self, targets: ArrayLike, strengths: ArrayLike) -> None:
        """Advance by TIMESTEP, six motors pulling towards `targets` (radians).

        `strengths` is the part of the stall torque that each may use; 0 makes a joint limp.
        """
        force = np.asarray(strengths) * STALL_TORQUE
        self._model.actuator_forcerange[:, 0] = -force
        self._model.actuator_forcerange[:, 1] = force
        self._data.ctrl[:] = targets
        mujoco.mj_step(self._model, self._data)
        self._rested = self._rested + TIMESTEP if self._cube_lies_in_bowl() else 0.0

    def success(self) -> bool:
        """Return whether the cube lies at rest in the bowl."""
        return self._rested >= _REST_SECONDS

    def _cube_lies_in_bowl(self) -> bool:
        x, y, z = self._data.qpos[_CUBE_POSITION].tolist()
        vx, vy, vz, wx, wy, wz = self._data.qvel[_CUBE_VELOCITY].tolist()
        return (
            (x - BOWL_CENTRE[0]) ** 2 + (y - BOWL_CENTRE[1]) ** 2 < BOWL_FLOOR_RADIUS**2
            and 0.0 < z < BOWL_HEIGHT
            and vx * vx + vy * vy + vz * vz < _REST_SPEED**2
            and wx * wx + wy * wy + wz * wz < _REST_TURNING**2
        )
