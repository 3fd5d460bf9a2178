"""What the cameras see."""

import ctypes.util
import os
import subprocess
import sys
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from so101_sim.renderer import Renderer
from so101_sim.world import World

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library('EGL') is None, reason='libEGL is not installed'
)


@pytest.fixture(scope='module')
def renderer(model: mujoco.MjModel) -> Iterator[Renderer]:
    one = Renderer(model)
    yield one
    one.close()


def red(pixels: np.ndarray) -> int:
    r, g, b = np.moveaxis(pixels.astype(int), -1, 0)
    return int(((r > 80) & (r > 3 * g) & (r > 3 * b)).sum())


@pytest.mark.parametrize('camera', ['wrist', 'overhead'])
def test_both_cameras_see_the_cube_from_home_wherever_it_is_put(
    model: mujoco.MjModel, renderer: Renderer, camera: str
) -> None:
    for seed in range(20):
        renderer.place(World(model, seed).positions)
        pixels = renderer.image(camera)
        assert pixels.shape == (480, 640, 3)
        assert pixels.dtype == np.uint8
        assert red(pixels) > 200


def test_the_overhead_camera_sees_arm_and_bowl(model: mujoco.MjModel, renderer: Renderer) -> None:
    renderer.place(World(model, 0).positions)
    r, g, b = np.moveaxis(renderer.image('overhead').astype(int), -1, 0)
    assert ((b > 80) & (b > 1.5 * r)).sum() > 3000
    assert ((r > 120) & (g > 90) & (b < 90)).sum() > 5000


def test_an_image_shows_the_state_it_was_given(model: mujoco.MjModel, renderer: Renderer) -> None:
    images = []
    for seed in (0, 1, 0):
        renderer.place(World(model, seed).positions)
        images.append(renderer.image('overhead'))
    assert (images[0] == images[2]).all()
    assert (images[0] != images[1]).any()


def test_the_focal_length_is_that_of_the_field_of_view(renderer: Renderer) -> None:
    assert 2 * np.rad2deg(np.arctan(240 / renderer.focal_length('wrist'))) == pytest.approx(48.5)


@pytest.mark.parametrize(
    ('backend', 'device', 'text'),
    [('glfw', '0', 'use egl or osmesa'), ('egl', '99', 'libegl1 libgl1-mesa-dri')],
)
def test_a_missing_opengl_is_one_clear_error(backend: str, device: str, text: str) -> None:
    code = (
        'from so101_node.error import UserError\n'
        'from so101_sim import renderer\n'
        'try: renderer._context()\n'
        'except UserError as error: print(error)\n'
    )
    environment = os.environ | {'MUJOCO_GL': backend, 'MUJOCO_EGL_DEVICE_ID': device}
    done = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert text in done.stdout, done.stderr
