"""An emulated camera on an emulated kernel, and JPEG frames for it."""

from pathlib import Path

import numpy as np
import pytest

from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.image import to_jpeg


@pytest.fixture(scope='session')
def frames() -> list[bytes]:
    """Ten JPEG frames, each lighter than the last."""
    return [to_jpeg(np.full((480, 640, 3), 20 * level, np.uint8)) for level in range(10)]


@pytest.fixture
def camera(frames: list[bytes]) -> EmulatedCamera:
    return EmulatedCamera(frames, rate=100.0)


@pytest.fixture
def kernel(tmp_path: Path) -> EmulatedKernel:
    return EmulatedKernel(tmp_path)
