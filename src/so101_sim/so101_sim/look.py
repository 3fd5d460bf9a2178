"""How the scene looks: light, colours, and where the cameras are, varied by a seed; pure.

For policies that are to work under another lamp, on another table, with cameras that somebody has
touched. Nothing of it changes what happens, only what is seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from so101_description.cameras import CAMERAS
from so101_sim.scene import LIGHTS

Vector = tuple[float, float, float]

# How far a look goes, each way. Of a colour, 0 to 1: how much lighter or darker it is, and how far
# red, green and blue go from there. The cube's is less: it stays the red thing on the table.
COLOURS = {
    'table': (0.10, 0.05),
    'floor': (0.15, 0.05),
    'wall': (0.15, 0.05),
    'bowl': (0.10, 0.10),
    'cube': (0.05, 0.03),
}
STRENGTH = (0.7, 1.1)  # of each light, from there to there: a white table is not to burn out
WARMTH = 0.08  # more red and as much less blue, as a part of each
TURN_OF_LIGHT = np.deg2rad(20.0)  # about each axis
SHIFT = 0.01  # metres, of a camera along each of its axes
TURN = np.deg2rad(2.0)  # of a camera about each of its axes
ZOOM = 0.02  # of a camera's field of view, as a part of it

# How a scene can be asked to look: as it is built, or another way for each seed.
LOOKS = ('fixed', 'varied')


@dataclass(frozen=True)
class Light:
    """`strength`: factors of its red, green and blue. `turn`: of its direction, a rotation
    vector (rad) in the base frame.
    """

    strength: Vector = (1.0, 1.0, 1.0)
    turn: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class View:
    """Of a camera: shifted (m) and turned (rotation vector, rad) in its own frame.

    That is MuJoCo's: x to the right, y up in the image. `zoom`: a factor of the field of view.
    """

    shift: Vector = (0.0, 0.0, 0.0)
    turn: Vector = (0.0, 0.0, 0.0)
    zoom: float = 1.0


@dataclass(frozen=True)
class Look:
    """What differs from the scene as it is built; nothing in `Look()`.

    `colours`: what is added to the red, green and blue (0 to 1) of the things in COLOURS.
    `ambient`: factors of the light from everywhere. `lights`, `views`: by name.
    """

    colours: Mapping[str, Vector] = field(default_factory=dict)
    ambient: Vector = (1.0, 1.0, 1.0)
    lights: Mapping[str, Light] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)


def look(seed: int) -> Look:
    """Return the look of a seed, within the bounds above."""
    random = np.random.default_rng((9, seed))

    def vector(bound: float, middle: float = 0.0) -> Vector:
        x, y, z = random.uniform(middle - bound, middle + bound, 3).tolist()
        return x, y, z

    def colour(shade: float, tint: float) -> Vector:
        return vector(tint, random.uniform(-shade, shade))

    def strength() -> Vector:
        all_of_it = random.uniform(*STRENGTH)
        warmer = random.uniform(-WARMTH, WARMTH)
        return all_of_it * (1 + warmer), all_of_it, all_of_it * (1 - warmer)

    return Look(
        colours={thing: colour(*bounds) for thing, bounds in COLOURS.items()},
        ambient=strength(),
        lights={name: Light(strength(), vector(TURN_OF_LIGHT)) for name in LIGHTS},
        views={
            name: View(vector(SHIFT), vector(TURN), 1.0 + random.uniform(-ZOOM, ZOOM))
            for name in CAMERAS
        },
    )


class Appearance:
    """A compiled scene whose look can be changed, in place, and back again."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        headlight = model.vis.headlight
        self._built: dict[str, Any] = {
            name: np.copy(getattr(owner, name))
            for owner, names in (
                (model, ('geom_rgba', 'light_diffuse', 'light_dir')),
                (model, ('cam_pos', 'cam_quat', 'cam_fovy')),
                (headlight, ('ambient', 'diffuse')),
            )
            for name in names
        }
        self._geoms = {thing: _geoms(model, thing) for thing in COLOURS}

    def wear(self, look: Look) -> None:
        """Look so from now on, whatever the model looked like before."""
        model, built = self._model, self._built
        headlight = model.vis.headlight
        headlight.ambient[:] = built['ambient'] * look.ambient
        headlight.diffuse[:] = built['diffuse'] * look.ambient
        for thing, geoms in self._geoms.items():
            colour = built['geom_rgba'][geoms, :3] + look.colours.get(thing, 0.0)
            model.geom_rgba[geoms, :3] = np.clip(colour, 0.0, 1.0)
        for name in LIGHTS:
            self._light(model.light(name).id, look.lights.get(name, Light()))
        for name in CAMERAS:
            self._place(model.camera(name).id, look.views.get(name, View()))

    def _light(self, index: int, light: Light) -> None:
        model, built = self._model, self._built
        model.light_diffuse[index] = built['light_diffuse'][index] * light.strength
        turn = Rotation.from_rotvec(light.turn)
        model.light_dir[index] = turn.apply(built['light_dir'][index])

    def _place(self, index: int, view: View) -> None:
        model, built = self._model, self._built
        mount = Rotation.from_quat(built['cam_quat'][index], scalar_first=True)
        turned = mount * Rotation.from_rotvec(view.turn)
        model.cam_pos[index] = built['cam_pos'][index] + mount.apply(view.shift)
        model.cam_quat[index] = turned.as_quat(scalar_first=True)
        model.cam_fovy[index] = built['cam_fovy'][index] * view.zoom


def _geoms(model: mujoco.MjModel, thing: str) -> NDArray[np.intp]:
    """Return those that carry a thing's name or belong to its body."""
    bodies = {model.body(index).name: index for index in range(model.nbody)}
    return np.array(
        [
            geom
            for geom in range(model.ngeom)
            if model.geom(geom).name.partition(' ')[0] == thing
            or model.geom_bodyid[geom] == bodies.get(thing)
        ]
    )
