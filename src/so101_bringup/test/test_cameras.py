"""Whoever reads a camera, its topics have the names that everything else listens to."""

from pathlib import Path

import pytest

from so101_bringup.cameras import camera_nodes, transform
from so101_bringup.wiring import NodeSpec
from so101_description.cameras import CAMERAS
from so101_node.error import UserError
from so101_node.robot_file import SOURCES, CameraSetting

OURS = ('v4l2', 'realsense', 'video')


def only(name: str, setting: CameraSetting) -> NodeSpec:
    (node,) = camera_nodes(name, setting)
    return node


@pytest.mark.parametrize('source', SOURCES)
def test_every_source_has_its_nodes(source: str) -> None:
    nodes = camera_nodes('wrist', CameraSetting(source, '/dev/video3'))
    assert [node.package for node in nodes] == {
        'none': [],
        'usb_cam': ['usb_cam', 'so101_cameras', 'image_transport'],
        'realsense2_camera': ['realsense2_camera'],
    }.get(source, ['so101_cameras'])


@pytest.mark.parametrize('source', OURS)
def test_our_node_gets_what_the_robot_file_says(source: str) -> None:
    node = only('overhead', CameraSetting(source, 'X1', 8000, 3, 4600, 50, 'c.yaml'))
    assert node.label == 'overhead_camera'
    assert node.parameters == {
        'camera': 'overhead',
        'source': source,
        'device': 'X1',
        'exposure': 8000,
        'gain': 3,
        'white_balance': 4600,
        'focus': 50,
        'camera_info': 'c.yaml',
    }


@pytest.mark.parametrize('name', CAMERAS)
def test_usb_cam_publishes_where_the_camera_has_its_topics(name: str) -> None:
    camera, controls, decoder = camera_nodes(name, CameraSetting('usb_cam', '/dev/a', 5000))
    assert camera.namespace == decoder.namespace == CAMERAS[name].topic
    assert camera.parameters['frame_id'] == CAMERAS[name].frame
    assert camera.parameters['pixel_format'] == 'mjpeg'  # as it comes out of the camera
    assert decoder.remappings == {'in/compressed': 'image_raw/compressed', 'out': 'image_raw'}
    assert controls.parameters['device'] == camera.parameters['video_device'] == '/dev/a'
    assert controls.parameters['exposure'] == 5000


def test_usb_cam_is_given_the_path_of_a_serial_number(tmp_path: Path) -> None:
    path = tmp_path / 'usb-046d_HD_Pro_Webcam_C920_1A2B-video-index0'
    path.touch()
    (tmp_path / 'usb-046d_HD_Pro_Webcam_C920_1A2B-video-index1').touch()  # its metadata
    setting = CameraSetting('usb_cam', '1A2B')
    assert camera_nodes('overhead', setting, tmp_path)[0].parameters['video_device'] == str(path)
    with pytest.raises(UserError, match='overhead_device:=9: 0 cameras of that serial number'):
        camera_nodes('overhead', CameraSetting('usb_cam', '9'), tmp_path)


def test_a_realsense_on_the_wrist_publishes_by_its_own_names() -> None:
    node = only('wrist', CameraSetting('realsense2_camera', '0130'))
    assert CAMERAS['wrist'].topic == f'{node.name}/color'
    assert CAMERAS['wrist'].frame == f'{node.name}_color_optical_frame'
    assert not node.remappings
    assert node.parameters['serial_no'] == '0130'
    # Automatic is said, too: the camera keeps what an earlier program has set.
    assert node.parameters['depth_module.enable_auto_exposure'] is True
    assert 'depth_module.exposure' not in node.parameters


def test_a_realsense_overhead_is_renamed() -> None:
    node = only('overhead', CameraSetting('realsense2_camera', '', 8000, 16, 4600))
    assert node.remappings['~/color/image_raw'] == 'overhead_camera/image_raw'
    for module in ('rgb_camera', 'depth_module'):
        assert node.parameters[f'{module}.color_profile'] == '640x480x30'
        assert node.parameters[f'{module}.enable_auto_exposure'] is False
        assert node.parameters[f'{module}.exposure'] == 8000


def test_a_transform_is_the_one_of_the_robots_model() -> None:
    words = transform('overhead').arguments
    said = dict(zip(words[::2], words[1::2], strict=True))
    assert said['--frame-id'] == 'base_link'
    assert said['--child-frame-id'] == 'overhead_camera_optical_frame'
    pose = [float(said[f'--{axis}']) for axis in ('x', 'y', 'z', 'roll', 'pitch', 'yaw')]
    assert pose == pytest.approx([*CAMERAS['overhead'].xyz, *CAMERAS['overhead'].rpy])
