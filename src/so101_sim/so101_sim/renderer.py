"""Pictures of the scene, without a display."""

import ctypes
import importlib
import math
import os

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_node.error import UserError
from so101_sim.look import Appearance, Look
from so101_sim.scene import IMAGE_SIZE


class Renderer:
    """Renders the model's cameras through EGL, or through OSMesa where MUJOCO_GL=osmesa says so.

    Use it in one thread only: the OpenGL context belongs to the one that made it.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        """Raises UserError when OpenGL is not there."""
        self._model = model
        self._data = mujoco.MjData(model)
        self._appearance = Appearance(model)
        self._gl = _context()
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._viewport = mujoco.MjrRect(0, 0, *IMAGE_SIZE)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 10)
        for effect in ('SHADOW', 'REFLECTION', 'SKYBOX', 'HAZE'):  # each costs more than the arm
            self._scene.flags[getattr(mujoco.mjtRndFlag, f'mjRND_{effect}')] = False
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._pixels = np.empty((IMAGE_SIZE[1], IMAGE_SIZE[0], 3), np.uint8)

    def focal_length(self, camera: str) -> float:
        """Return a camera's focal length in pixels, the same in both directions."""
        fovy = math.radians(self._model.camera(camera).fovy.item())
        return IMAGE_SIZE[1] / 2 / math.tan(fovy / 2)

    def wear(self, look: Look) -> None:
        """Show the scene in a look from now on.

        It changes the model, but nothing of what the physics knows: another Renderer of the same
        model shows it, too.
        """
        self._appearance.wear(look)

    def place(self, positions: ArrayLike) -> None:
        """Set the scene to a full qpos vector."""
        self._data.qpos[:] = positions
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def image(self, camera: str) -> NDArray[np.uint8]:
        """Return what a camera sees, rgb8 of shape (480, 640, 3)."""
        self._camera.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._viewport, self._context)
        return self._pixels[::-1].copy()  # OpenGL's rows run upwards

    def close(self) -> None:
        self._context.free()
        self._gl.free()


def _context():  # type: ignore[no-untyped-def]  # mujoco's GLContext classes share no base
    # Mesa's software rasteriser takes every core by default, and with two of them holds up the
    # servo bus; one thread draws both images in time.
    os.environ.setdefault('LP_NUM_THREADS', '1')
    backend = os.environ.get('MUJOCO_GL') or 'egl'
    if backend not in ('egl', 'osmesa'):
        raise UserError(f'MUJOCO_GL={backend} cannot render without a display: use egl or osmesa')
    try:
        return importlib.import_module(f'mujoco.{backend}').GLContext(*IMAGE_SIZE)
    except (
        *(ImportError, AttributeError, OSError, RuntimeError),
        ctypes.ArgumentError,  # PyOpenGL without libOpenGL
    ) as error:
        packages = 'libegl1 libgl1-mesa-dri libopengl0' if backend == 'egl' else 'libosmesa6'
        raise UserError(
            f'the cameras cannot be rendered, {backend} is not usable ({error}); '
            f'on Debian and Ubuntu: apt-get install {packages}'
        ) from error
