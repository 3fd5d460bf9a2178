"""The compiled scene, built once, and the calibration of the simulated arm."""

from pathlib import Path

import mujoco
import pytest

from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_sim import mounting, scene


@pytest.fixture(scope='session')
def model() -> mujoco.MjModel:
    return scene.build()


@pytest.fixture(scope='session')
def calibration_path() -> Path:
    return mounting.calibration_path()


@pytest.fixture(scope='session')
def calibration(calibration_path: Path) -> Calibration:
    return load(calibration_path)
