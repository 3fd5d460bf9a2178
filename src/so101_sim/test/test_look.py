"""How the scene looks: varied within bounds, repeatable, and nothing but a look."""

import ctypes.util
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_cameras.picture_health import CLIPPED
from so101_description.cameras import CAMERAS
from so101_sim import look as module
from so101_sim import scene
from so101_sim.look import Appearance, Look, look
from so101_sim.renderer import Renderer
from so101_sim.world import World

SEEN = ('geom_rgba', 'light_diffuse', 'light_dir', 'cam_pos', 'cam_quat', 'cam_fovy')

rendering = pytest.mark.skipif(
    ctypes.util.find_library('EGL') is None, reason='libEGL is not installed'
)


@pytest.fixture(scope='module')
def own() -> mujoco.MjModel:
    """Return a scene that nobody else looks at."""
    return scene.build()


@pytest.fixture(scope='module')
def renderer(own: mujoco.MjModel) -> Iterator[Renderer]:
    one = Renderer(own)
    yield one
    one.close()


@given(st.integers(0, 2**31))
def test_a_look_is_that_of_its_seed_and_within_bounds(seed: int) -> None:
    one = look(seed)
    assert one == look(seed)
    assert one != look(seed + 1)
    assert one.colours.keys() == module.COLOURS.keys()
    for thing, (shade, tint) in module.COLOURS.items():
        colour = np.array(one.colours[thing])
        assert np.abs(colour).max() <= shade + tint
        assert np.ptp(colour) <= 2 * tint
    darkest = module.STRENGTH[0] * (1 - module.WARMTH)
    brightest = module.STRENGTH[1] * (1 + module.WARMTH)
    for strength in (one.ambient, *(light.strength for light in one.lights.values())):
        assert darkest <= min(strength) and max(strength) <= brightest
    for light in one.lights.values():
        assert np.abs(light.turn).max() <= module.TURN_OF_LIGHT
    assert one.views.keys() == CAMERAS.keys()
    for view in one.views.values():
        assert np.abs(view.shift).max() <= module.SHIFT
        assert np.abs(view.turn).max() <= module.TURN
        assert abs(view.zoom - 1) <= module.ZOOM


def test_each_thing_of_the_scene_is_coloured_and_nothing_else(model: mujoco.MjModel) -> None:
    for thing in module.COLOURS:
        own = scene.build()
        Appearance(own).wear(Look(colours={thing: (-0.1, -0.1, -0.1)}))
        changed = np.flatnonzero((own.geom_rgba != model.geom_rgba).any(axis=1))
        names = {own.geom(geom).name.partition(' ')[0] for geom in changed}
        bodies = {own.body(own.geom_bodyid[geom]).name for geom in changed}
        assert thing in names | bodies
        assert len(changed) == {'wall': 5, 'bowl': 26}.get(thing, 1)
        assert (own.geom_rgba[changed, 3] == 1.0).all()


def test_a_look_replaces_the_one_before(own: mujoco.MjModel) -> None:
    appearance = Appearance(own)
    built = {name: getattr(own, name).copy() for name in SEEN}
    appearance.wear(look(1))
    first = {name: getattr(own, name).copy() for name in SEEN}
    assert all((first[name] != built[name]).any() for name in SEEN)
    appearance.wear(look(2))
    appearance.wear(look(1))
    for name in SEEN:
        assert getattr(own, name) == pytest.approx(first[name], abs=1e-12)
    appearance.wear(Look())
    for name in SEEN:
        assert getattr(own, name) == pytest.approx(built[name], abs=1e-12)


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_a_camera_is_where_the_bounds_say(own: mujoco.MjModel, seed: int) -> None:
    """By what MuJoCo makes of it, in millimetres and degrees."""
    appearance, places = Appearance(own), []
    for worn in (Look(), look(seed)):
        appearance.wear(worn)
        data = mujoco.MjData(own)
        mujoco.mj_forward(own, data)
        places.append((data.cam_xpos.copy(), data.cam_xmat.reshape(-1, 3, 3).copy()))
    appearance.wear(Look())
    (before, turned_before), (after, turned_after) = places
    moved = np.linalg.norm(after - before, axis=1)
    assert (moved <= np.sqrt(3) * module.SHIFT).all()
    assert (moved > 0).all()
    cosines = (np.trace(turned_before.mT @ turned_after, axis1=1, axis2=2) - 1) / 2
    assert (np.arccos(cosines) <= np.sqrt(3) * module.TURN).all()


def test_the_physics_knows_nothing_of_it(own: mujoco.MjModel, model: mujoco.MjModel) -> None:
    appearance = Appearance(own)
    appearance.wear(look(5))
    worlds = World(own, 0), World(model, 0)
    for world in worlds:
        for _ in range(200):
            world.step(np.array([0.2, -1.0, 1.0, 0.5, 1.0, 0.5]), np.ones(6))
    appearance.wear(Look())
    assert (worlds[0].positions == worlds[1].positions).all()


@rendering
def test_the_same_seed_gives_the_same_images_and_others_differ(
    own: mujoco.MjModel, model: mujoco.MjModel, renderer: Renderer
) -> None:
    renderer.place(World(model, 0).positions)
    plain = {camera: renderer.image(camera) for camera in CAMERAS}
    seen = []
    for seed in (1, 2, 1):
        renderer.wear(look(seed))
        renderer.place(World(model, 0).positions)
        seen.append({camera: renderer.image(camera) for camera in CAMERAS})
    for camera in CAMERAS:
        assert (seen[0][camera] == seen[2][camera]).all()
        assert (seen[0][camera] != seen[1][camera]).any(-1).mean() > 0.5
        assert (seen[0][camera] != plain[camera]).any(-1).mean() > 0.5
    renderer.wear(Look())
    renderer.place(World(model, 0).positions)
    assert all((renderer.image(camera) == plain[camera]).all() for camera in CAMERAS)


@rendering
def test_in_every_look_the_cube_is_red_and_no_picture_is_burnt_out(
    model: mujoco.MjModel, renderer: Renderer
) -> None:
    for seed in range(12):
        renderer.wear(look(seed))
        renderer.place(World(model, seed).positions)
        for camera in CAMERAS:
            pixels = renderer.image(camera)
            red, green, blue = np.moveaxis(pixels.astype(int), -1, 0)
            assert ((red > 70) & (red > 3 * green) & (red > 3 * blue)).sum() > 200
            assert (pixels.min(-1) >= CLIPPED).mean() < 0.05
    renderer.wear(Look())


@rendering
def test_the_focal_length_follows_the_field_of_view(renderer: Renderer) -> None:
    built = renderer.focal_length('wrist')
    renderer.wear(Look(views={'wrist': module.View(zoom=1.02)}))
    assert 0.975 < renderer.focal_length('wrist') / built < 0.985
    renderer.wear(Look())
    assert renderer.focal_length('wrist') == built
