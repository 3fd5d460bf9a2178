"""Which nodes read a camera, by its source: said once, for every graph.

Whoever reads it, its topics have the same names, and the images are 640x480 at 30 Hz. The names
of usb_cam's parameters are those of its release 0.8.1, of realsense2_camera's of 4.55 to 4.57.
"""

from pathlib import Path

from so101_bringup.wiring import NodeSpec, Value
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node.error import UserError
from so101_node.robot_file import CameraSetting

_RATE = 30
_HEIGHT, _WIDTH = IMAGE_SHAPE[:2]

# Microseconds in V4L2's unit of exposure.
_V4L2_EXPOSURE = 100

# A RealSense's colour sensor is a module of its own, but in the D405, which has it beside those
# for depth. The node takes no notice of parameters for a module that the camera does not have.
_COLOUR_MODULES = ('rgb_camera', 'depth_module')

_BY_ID = Path('/dev/v4l/by-id')


def camera_nodes(name: str, setting: CameraSetting, by_id: Path = _BY_ID) -> list[NodeSpec]:
    """Return the nodes that read a camera; none, where somebody else does.

    `by_id` is the folder of the stable names of V4L2 devices. Raises UserError when usb_cam, which
    knows paths only, is to read a camera of a serial number that is not plugged in.
    """
    match setting.source:
        case 'none':
            return []
        case 'usb_cam':
            return _usb_cam(name, setting, by_id)
        case 'realsense2_camera':
            return [_realsense(name, setting)]
        case source:
            parameters: dict[str, Value] = {
                'camera': name,
                'source': source,
                'device': setting.device,
                'exposure': setting.exposure,
                'gain': setting.gain,
                'white_balance': setting.white_balance,
                'focus': setting.focus,
                'camera_info': setting.calibration,
            }
            return [NodeSpec('so101_cameras', 'camera', f'{name}_camera', parameters)]


def transform(name: str) -> NodeSpec:
    """Return the node that says where a camera is mounted; `cameras.py` of the description."""
    camera = CAMERAS[name]
    pose = zip(('x', 'y', 'z', 'roll', 'pitch', 'yaw'), (*camera.xyz, *camera.rpy), strict=True)
    return NodeSpec(
        'tf2_ros',
        'static_transform_publisher',
        f'{name}_camera_transform',
        arguments=(
            *(word for axis, value in pose for word in (f'--{axis}', f'{value:.9g}')),
            *('--frame-id', camera.link, '--child-frame-id', camera.frame),
        ),
    )


def _usb_cam(name: str, setting: CameraSetting, by_id: Path) -> list[NodeSpec]:
    """Return usb_cam, which passes JPEG images on, what decodes them, and what holds exposure.

    usb_cam sets exposure by names of controls that kernels since 5.14 do not have, and leaves
    them as they are at its end: so they are set beside it.
    """
    camera = CAMERAS[name]
    device = _path(name, setting.device, by_id)
    parameters: dict[str, Value] = {
        'video_device': device,
        'pixel_format': 'mjpeg',
        'image_width': _WIDTH,
        'image_height': _HEIGHT,
        'framerate': float(_RATE),
        'camera_name': f'{name}_camera',
        'frame_id': camera.frame,
        'camera_info_url': _address(setting.calibration),
        'brightness': -1,  # as it is; its default is 50
    }
    controls: dict[str, Value] = {
        'device': device,
        'exposure': setting.exposure,
        'gain': setting.gain,
        'white_balance': setting.white_balance,
        'focus': setting.focus,
    }
    return [
        NodeSpec('usb_cam', 'usb_cam_node_exe', 'usb_cam', parameters, namespace=camera.topic),
        NodeSpec('so101_cameras', 'controls', f'{name}_camera_controls', controls),
        NodeSpec(
            'image_transport',
            'republish',
            'decoder',
            {'in_transport': 'compressed', 'out_transport': 'raw'},
            namespace=camera.topic,
            remappings={'in/compressed': 'image_raw/compressed', 'out': 'image_raw'},
        ),
    ]


def _path(name: str, device: str, by_id: Path) -> str:
    if '/' in device:
        return device
    if not device:
        return '/dev/video0'
    found = sorted(by_id.glob(f'*_{device}-video-index0'))
    if len(found) != 1:
        raise UserError(
            f'{name}_device:={device}: {len(found)} cameras of that serial number in {by_id}; '
            'plug it in, or give its path'
        )
    return str(found[0])


def _address(file: str) -> str:
    return Path(file).resolve().as_uri() if file else ''


def _realsense(name: str, setting: CameraSetting) -> NodeSpec:
    """Return realsense2_camera with colour alone: depth would cost bandwidth and half a core.

    A RealSense keeps exposure until it is unplugged: so it is always set, to automatic also.
    """
    camera = CAMERAS[name]
    parameters: dict[str, Value] = {
        'camera_name': f'{name}_camera',
        'serial_no': setting.device,
        'enable_color': True,
        'enable_depth': False,
        'enable_infra1': False,
        'enable_infra2': False,
        # The robot's model has the camera's frames, below another link.
        'publish_tf': False,
        'diagnostics_period': 1.0,
    }
    for module in _COLOUR_MODULES:
        parameters |= {
            f'{module}.color_profile': f'{_WIDTH}x{_HEIGHT}x{_RATE}',
            f'{module}.color_format': 'RGB8',
            f'{module}.enable_auto_exposure': not setting.exposure,
            f'{module}.enable_auto_white_balance': not setting.white_balance,
        }
        if setting.exposure:
            parameters[f'{module}.exposure'] = setting.exposure
        if setting.gain:
            parameters[f'{module}.gain'] = setting.gain
        if setting.white_balance:
            parameters[f'{module}.white_balance'] = setting.white_balance
    here, ours = f'{name}_camera/color', camera.topic
    remappings = {
        f'~/color/{topic}': f'{ours}/{topic}'
        for topic in ('image_raw', 'image_raw/compressed', 'camera_info')
        if here != ours
    }
    return NodeSpec(
        'realsense2_camera',
        'realsense2_camera_node',
        f'{name}_camera',
        parameters,
        remappings=remappings,
    )
