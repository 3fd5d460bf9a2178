"""A camera is found by what it keeps when it is plugged in again."""

import pytest

from so101_cameras.emulated_v4l2 import EmulatedCamera, EmulatedKernel
from so101_cameras.sources.source import SourceError
from so101_cameras.sources.video_nodes import VideoNode, find, video_nodes
from so101_node.error import UserError


def nodes(kernel: EmulatedKernel) -> list[VideoNode]:
    return video_nodes(kernel.sysfs, kernel.devices)


def test_a_camera_is_its_first_node(kernel: EmulatedKernel, camera: EmulatedCamera) -> None:
    path = kernel.plug(camera, 4)
    assert nodes(kernel) == [VideoNode(path, 'HD Pro Webcam C920', 'A1B2C3D4', '1-2', 480.0)]


def test_every_name_of_it_finds_it(kernel: EmulatedKernel, camera: EmulatedCamera) -> None:
    path = kernel.plug(camera, 4)
    kernel.plug(EmulatedCamera([b''], serial='OTHER', port='1-3'), 6)
    by_id = kernel.by_id / 'usb-HD_Pro_Webcam_C920_A1B2C3D4-video-index0'
    for name in ('A1B2C3D4', '1-2', str(path), str(by_id)):
        assert find(name, nodes(kernel)).serial == 'A1B2C3D4'


def test_no_name_is_the_only_camera(kernel: EmulatedKernel, camera: EmulatedCamera) -> None:
    path = kernel.plug(camera)
    assert find('', nodes(kernel)).path == path
    kernel.plug(EmulatedCamera([b''], serial='OTHER', port='1-3'), 2)
    with pytest.raises(UserError, match=r'several.*serial number A1B2C3D4.*serial number OTHER'):
        find('', nodes(kernel))


def test_one_that_is_not_there_is_named_with_those_that_are(
    kernel: EmulatedKernel, camera: EmulatedCamera
) -> None:
    with pytest.raises(SourceError, match='there is no camera at all'):
        find('A1B2C3D4', nodes(kernel))
    kernel.plug(camera)
    with pytest.raises(SourceError, match=r'camera B2 is not there.*serial number A1B2C3D4'):
        find('B2', nodes(kernel))


def test_a_metadata_node_is_refused(kernel: EmulatedKernel, camera: EmulatedCamera) -> None:
    path = kernel.plug(camera)
    with pytest.raises(UserError, match=rf'video1 gives no pictures; give .*{path.name}'):
        find(str(kernel.devices / 'video1'), nodes(kernel))


def test_two_of_one_serial_number_are_told_apart_by_their_ports(kernel: EmulatedKernel) -> None:
    kernel.plug(EmulatedCamera([b''], serial='SAME'), 0)
    kernel.plug(EmulatedCamera([b''], serial='SAME', port='1-3'), 2)
    with pytest.raises(UserError, match='several'):
        find('SAME', nodes(kernel))
    assert find('1-3', nodes(kernel)).path == kernel.devices / 'video2'
