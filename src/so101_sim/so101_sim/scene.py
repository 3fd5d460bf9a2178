"""The simulated scene as a MuJoCo model: arm, table, cube, bowl, cameras; pure.

Frame: the arm's base, x forward, y left, z up, z = 0 on the table. Metres, radians.
The arm is the so101-nexus package's so101_new_calib; only what differs from it is said here.
"""

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from so101_nexus import get_so101_simulation_dir

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_description.kinematics import transform
from so101_description.workspace import SQUARE_CENTRE
from so101_node.error import UserError
from so101_sim import mesh

TIMESTEP = 0.002  # seconds
IMAGE_SIZE = (IMAGE_SHAPE[1], IMAGE_SHAPE[0])  # width, height

CUBE_SIZE = 0.025
BOWL_CENTRE = (0.22, 0.15)
BOWL_FLOOR_RADIUS = 0.042
BOWL_RIM_RADIUS = 0.060
BOWL_HEIGHT = 0.035
_BOWL_SIDES = 24
BOWL_THICKNESS = 0.003

# N m at 12 V, where the model's actuators saturate.
STALL_TORQUE = 3.35

# Metres. The 13 meshes have 320,000 faces, which take 100 ms to draw in software; thinned to this
# grid they have 15,000 and take a few.
_MESH_GRID = 0.003

# Joint stops. The URDF's shoulder_lift limit of 1.74533 is nominal: the folded arm is at -1.8266.
_STOPS = {'shoulder_lift': (-1.84, 1.84)}

# The shoulder's and forearm's convex hulls overlap in the folded arm; the parts do not.
_HULLS_OVERLAP = ('shoulder', 'lower_arm')

_UNSEEN = 3  # a group of shapes that MuJoCo does not draw

# Degrees, from the top of the image to its bottom; the wrist's is MuJoCo Menagerie's.
_FIELDS_OF_VIEW = {'wrist': 48.5, 'overhead': 46.0}

_TABLE_SIZE = (0.9, 1.1, 0.03)
_TABLE_CENTRE = (0.25, 0.0)

_ROOM = 2.5  # half of its side

# Where each comes from, shining on the square, and how strong it is, of 1.
LIGHTS = {'window': ((0.8, -0.6, 1.4), 0.35), 'lamp': ((-0.2, 0.8, 1.2), 0.20)}

_TABLE = (0.78, 0.70, 0.60, 1.0)
_FLOOR = (0.38, 0.40, 0.43, 1.0)
_WALL = (0.74, 0.78, 0.82, 1.0)
_PLASTIC = (0.95, 0.72, 0.20, 1.0)
_RED = (0.85, 0.08, 0.08, 1.0)
_BLUE = (0.16, 0.36, 0.75, 1.0)


# Before the seed of the last reset, in the frame_id of sim/state.
SEED = 'seed '


def build() -> mujoco.MjModel:
    """Compile the scene. Coordinates: the six joints, then the cube's position and quaternion."""
    folder = get_so101_simulation_dir()
    spec = mujoco.MjSpec.from_file(str(folder / 'so101_new_calib.xml'))
    _configure(spec)
    for part in spec.meshes:
        path = folder / spec.meshdir / part.file
        vertices, faces = mesh.simplified(*mesh.load(path), _MESH_GRID)
        part.name, part.file = path.stem, ''
        part.uservert, part.userface = vertices.ravel(), faces.ravel()
    _adapt_arm(spec)
    _add_surroundings(spec)
    _add_cube(spec.worldbody)
    _add_bowl(spec.worldbody)
    _add_cameras(spec)
    return spec.compile()


def coordinate_names() -> list[str]:
    """Name each element of the model's qpos."""
    return [*JOINTS, *(f'cube.{axis}' for axis in ('x', 'y', 'z', 'qw', 'qx', 'qy', 'qz'))]


def cube_place(
    names: Sequence[str], positions: Sequence[float]
) -> tuple[tuple[float, float], float]:
    """Return where the cube is, x and y (m), and its turn about the vertical (rad).

    Of the fields of a sensor_msgs/JointState with every coordinate; raises UserError when they are
    not those of this scene.
    """
    check_coordinates(names, positions)
    x, y, _, qw, qx, qy, qz = positions[len(JOINTS) :]
    return (x, y), math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))


def check_coordinates(names: Sequence[str], positions: Sequence[float]) -> None:
    """Raise UserError for fields of a message that are not this scene's coordinates."""
    expected = coordinate_names()
    if list(names) != expected or len(positions) != len(expected):
        raise UserError('not the coordinates of this scene')
    if not all(map(math.isfinite, positions)):
        raise UserError('a coordinate is not a finite number')


def _configure(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # a held cube does not creep
    spec.option.impratio = 10
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = IMAGE_SIZE
    visual.quality.offsamples = (
        0  # neither multisampling nor shadows: they cost more than the rest
    )
    visual.headlight.ambient = [0.38, 0.38, 0.38]
    visual.headlight.diffuse = [0.20, 0.20, 0.20]
    visual.headlight.specular = [0.0, 0.0, 0.0]
    visual.map.znear = 0.005


def _adapt_arm(spec: mujoco.MjSpec) -> None:
    for name in JOINTS:
        joint, actuator = spec.joint(name), spec.actuator(name)
        joint.range = _STOPS.get(name, joint.range)
        actuator.ctrllimited = False  # the servo limits its own goal
        actuator.forcerange = [-STALL_TORQUE, STALL_TORQUE]
    spec.add_exclude(bodyname1=_HULLS_OVERLAP[0], bodyname2=_HULLS_OVERLAP[1])
    for material in spec.materials:
        if material.rgba[0] > 0.5:  # printed parts; the servos are black
            material.rgba = _PLASTIC


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    length, width, thickness = _TABLE_SIZE
    world.add_geom(
        name='table',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[length / 2, width / 2, thickness / 2],
        pos=[*_TABLE_CENTRE, -thickness / 2],
        rgba=_TABLE,
        friction=[1.0, 0.005, 0.0001],
    )
    world.add_geom(
        name='floor',
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[3.0, 3.0, 0.1],
        pos=[0.0, 0.0, -0.75],
        rgba=_FLOOR,
    )
    # Walls and a ceiling instead of a sky: drawing that takes longer than all the rest.
    for axis, side in ((0, -1), (0, 1), (1, -1), (1, 1), (2, 1)):
        centre, size = [0.0, 0.0, 0.0], [_ROOM, _ROOM, _ROOM]
        centre[axis], size[axis] = side * _ROOM, 0.01
        world.add_geom(
            name=f'wall {"xyz"[axis]} {side}',
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=size,
            pos=centre,
            rgba=_WALL,
            contype=0,
            conaffinity=0,
        )
    for name, (position, strength) in LIGHTS.items():
        world.add_light(
            name=name,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            pos=position,
            dir=[0.25 - position[0], -position[1], -position[2]],
            diffuse=[strength] * 3,
            specular=[0.1] * 3,
            castshadow=False,
        )


def _add_cube(world: mujoco.MjsBody) -> None:
    cube = world.add_body(name='cube', pos=[*SQUARE_CENTRE, CUBE_SIZE / 2])
    cube.add_freejoint(name='cube')
    cube.add_geom(
        name='cube',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_SIZE / 2] * 3,
        mass=0.015,
        rgba=_RED,
        condim=4,
        friction=[1.0, 0.005, 0.0001],
    )


def _add_bowl(world: mujoco.MjsBody) -> None:
    """A round floor and a ring of boxes that lean outwards."""
    bowl = world.add_body(name='bowl', pos=[*BOWL_CENTRE, 0.0])
    bowl.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[BOWL_FLOOR_RADIUS, BOWL_THICKNESS / 2, 0.0],
        pos=[0.0, 0.0, BOWL_THICKNESS / 2],
        rgba=_BLUE,
        contype=0,
        conaffinity=0,
    )
    # What is touched is a box, its corners below the leaning wall. On a cylinder MuJoCo finds one
    # point of an edge at a time, and a cube that leans on the wall trembles there for ever.
    bowl.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[BOWL_FLOOR_RADIUS, BOWL_FLOOR_RADIUS, BOWL_THICKNESS / 2],
        pos=[0.0, 0.0, BOWL_THICKNESS / 2],
        group=_UNSEEN,
    )
    lean = math.atan2(BOWL_RIM_RADIUS - BOWL_FLOOR_RADIUS, BOWL_HEIGHT)
    radius = (BOWL_FLOOR_RADIUS + BOWL_RIM_RADIUS) / 2
    size = [
        BOWL_THICKNESS / 2,
        BOWL_RIM_RADIUS * math.tan(math.pi / _BOWL_SIDES),
        BOWL_HEIGHT / math.cos(lean) / 2,
    ]
    for angle in np.arange(_BOWL_SIDES) * 2 * math.pi / _BOWL_SIDES:
        around, leaning, both = np.zeros(4), np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(around, np.array([0.0, 0.0, 1.0]), angle)
        mujoco.mju_axisAngle2Quat(leaning, np.array([0.0, 1.0, 0.0]), lean)
        mujoco.mju_mulQuat(both, around, leaning)
        bowl.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=size,
            pos=[radius * math.cos(angle), radius * math.sin(angle), BOWL_HEIGHT / 2],
            quat=both,
            rgba=_BLUE,
        )


def _add_cameras(spec: mujoco.MjSpec) -> None:
    spec.delete(spec.camera('wrist_cam'))
    for name, camera in CAMERAS.items():
        right, down, _, position = transform(camera.xyz, camera.rpy)[:3].T
        added = spec.body(camera.link.removesuffix('_link')).add_camera(
            name=name, pos=position, fovy=_FIELDS_OF_VIEW[name]
        )
        # MuJoCo's cameras have x to the right and y up in the image.
        added.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
        added.alt.xyaxes = [*right, *-down]
