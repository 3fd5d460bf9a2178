"""A camera's settings stay as asked, whoever reads its frames, and are restored in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.sources import videodev2 as v4l2
from so101_cameras.sources.control_watch import ControlWatch
from so101_cameras.sources.source import Settings, SourceError
from so101_node.error import UserError


@pytest.fixture
def watch(kernel: EmulatedKernel, tmp_path: Path) -> Iterator[ControlWatch]:
    watch = ControlWatch('', Settings(exposure=12_000), kernel=kernel, folder=tmp_path / 'run')
    yield watch
    watch.close()


def test_settings_are_held_beside_another_program_and_restored(
    kernel: EmulatedKernel, camera: EmulatedCamera, watch: ControlWatch
) -> None:
    before = dict(camera.settings)
    camera.busy = True  # its frames are another program's
    kernel.plug(camera)
    assert watch.look() == []
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120
    watch.look()
    assert watch.applied == 1
    camera.set(v4l2.CID_EXPOSURE_ABSOLUTE, 500)
    watch.look()
    assert (camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE], watch.applied) == (120, 2)
    watch.close()
    assert camera.settings == before


def test_a_camera_that_returns_is_set_again(
    kernel: EmulatedKernel, camera: EmulatedCamera, watch: ControlWatch
) -> None:
    with pytest.raises(SourceError, match='not there'):
        watch.look()
    kernel.plug(camera)
    watch.look()
    kernel.unplug(camera)
    with pytest.raises(SourceError, match=r'No such device: plug it in'):
        watch.look()
    with pytest.raises(SourceError, match='camera A1B2C3D4 is not there'):
        watch.look()
    kernel.plug(camera, 4)
    assert watch.look() == []
    assert 'video4' in watch.camera
    assert camera.settings[v4l2.CID_EXPOSURE_ABSOLUTE] == 120


def test_a_value_out_of_range_is_refused_and_restored(
    kernel: EmulatedKernel, camera: EmulatedCamera, tmp_path: Path
) -> None:
    before = dict(camera.settings)
    kernel.plug(camera)
    watch = ControlWatch('', Settings(gain=999), kernel=kernel, folder=tmp_path / 'run')
    with pytest.raises(UserError, match='gain: 999'):
        watch.look()
    watch.close()
    assert camera.settings == before
