"""The robot file: what is particular to one robot, said once, read by every graph and command.

    arm:
      port: /dev/so101_follower
      calibration: my_arm

What it leaves out has the default of the dataclasses below. so101_bringup/config/robot.yaml is
the one to copy.
"""

import argparse
import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from so101_description.cameras import CAMERAS
from so101_description.joints import GRIPPER, HOME, JOINTS
from so101_description.units import radians_to_dataset
from so101_node.field import parameter
from so101_node.yaml_file import YamlFile

# Where the file lies unless a command is told: named by a variable, or in the current folder.
VARIABLE = 'SO101_ROBOT'
NAME = 'robot.yaml'

# Who reads a camera. The first publishes nothing of its own.
SOURCES = {
    'none': 'somebody else publishes its topics',
    'v4l2': 'our node, any USB camera: JPEG images as they come out of the camera',
    'realsense': 'our node, an Intel RealSense by pyrealsense2',
    'video': 'our node, a video file again and again, in place of a camera',
    'usb_cam': "ROS's usb_cam",
    'realsense2_camera': "Intel's ROS node",
}


@dataclass(frozen=True)
class Arm:
    port: str = parameter('/dev/ttyACM0', 'serial port of the arm')
    calibration: str = parameter('', "LeRobot's calibration file of the arm, or its id")
    max_velocity: float = parameter(
        3.0, 'limit of the velocity of every joint, rad/s', low=0.1, high=5
    )
    home: list[float] = parameter(
        radians_to_dataset(HOME).round(6).tolist(),
        "pose before and after each episode, in LeRobot's units: degrees, the gripper 0 to 100",
    )


@dataclass(frozen=True)
class Leader:
    port: str = parameter('/dev/ttyACM1', 'serial port of the leader arm')
    calibration: str = parameter('', "LeRobot's calibration file of the leader arm, or its id")


@dataclass(frozen=True)
class CameraSetting:
    """How one camera is read."""

    source: str = parameter('none', 'who reads it', choices=tuple(SOURCES))
    device: str = parameter(
        '', 'its serial number, a path such as /dev/v4l/by-id/..., or a video file'
    )
    exposure: int = parameter(0, 'microseconds; 0: automatic', low=0, high=1_000_000)
    gain: int = parameter(0, "in the camera's own units; 0: the camera's", low=0, high=100_000)
    white_balance: int = parameter(0, 'kelvin; 0: automatic', low=0, high=10_000)
    focus: int = parameter(-1, "in the camera's own units; -1: automatic", low=-1, high=10_000)
    calibration: str = parameter(
        '', 'the file of its intrinsics that camera_calibration writes; empty: none, or its own'
    )


@dataclass(frozen=True)
class Robot:
    """`cameras` has an entry for each camera of the robot; `path` is None of a robot file's own
    defaults. Paths of files are as seen from the current folder."""

    path: Path | None = None
    arm: Arm = Arm()
    leader: Leader = Leader()
    cameras: dict[str, CameraSetting] = dataclasses.field(
        default_factory=lambda: {name: CameraSetting() for name in CAMERAS}
    )
    task: str = parameter('Pick up the cube and place it in the bowl', 'what is to be done')
    episode_time: float = parameter(10.0, 'seconds of each episode', low=0.1)
    checkpoint: str = parameter(
        'outputs/train/checkpoints/last/pretrained_model',
        'LeRobot policy checkpoint folder (SmolVLA, ACT ...)',
    )
    recordings: str = parameter('recordings', 'folder of the episodes and videos')

    def of(self, role: str) -> Arm | Leader:
        """Return the arm of a role: follower or leader."""
        return self.leader if role == 'leader' else self.arm

    def at(self, key: str) -> Any:
        """Return what stands at a key such as 'cameras.wrist.source'; None of no such camera."""
        found: Any = self
        for name in filter(None, key.split('.')):
            found = found.get(name) if isinstance(found, dict) else getattr(found, name, None)
        return found


def load(given: str = '') -> Robot:
    """Return the robot of the file that applies, or the defaults where there is none.

    Raises UserError, as `read` does.
    """
    path = find(given)
    return Robot() if path is None else read(path)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a command the option --robot, whose text `load` takes."""
    parser.add_argument(
        '--robot',
        default='',
        metavar='FILE',
        help=f'the robot file; default: ${VARIABLE}, else {NAME} here',
    )


def find(given: str = '') -> Path | None:
    """Return the path `given`, else that of SO101_ROBOT, else ./robot.yaml where it exists."""
    named = given or os.environ.get(VARIABLE, '')
    if named:
        return Path(named).expanduser()
    return Path(NAME) if Path(NAME).is_file() else None


def read(path: Path) -> Robot:
    """Read a robot file. Raises UserError that names the file, the line and the reason."""
    return _Reader(
        YamlFile(path, 'robot file', './so101 robot makes one of what is plugged in')
    ).robot()


class _Reader:
    """Goes down the file's nodes beside the dataclasses that they are to fill."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file

    def robot(self) -> Robot:
        said: dict[str, Any] = {}
        fields = {field.name: field for field in dataclasses.fields(Robot)}
        del fields['path']
        for key, node in self._file.entries(self._file.root, tuple(fields)):
            if key == 'cameras':
                said[key] = self._cameras(node)
            elif dataclasses.is_dataclass(kind := fields[key].type):
                said[key] = self._section(node, kind, key)
            else:
                said[key] = self._file.value(node, fields[key], key)
        for name in ('checkpoint', 'recordings'):
            if name in said:
                said[name] = self._located(said[name])
        return Robot(path=self._file.path, **said)

    def _cameras(self, node: yaml.Node) -> dict[str, CameraSetting]:
        cameras = {}
        for name, entry in self._file.entries(node, tuple(CAMERAS), 'cameras'):
            setting = self._section(entry, CameraSetting, f'cameras.{name}')
            if setting.source == 'video' and not setting.device:
                raise self._file.error(
                    entry, f'cameras.{name}.device is missing: name a video file'
                )
            cameras[name] = dataclasses.replace(
                setting,
                device=self._located(setting.device) if _is_path(setting) else setting.device,
                calibration=self._located(setting.calibration),
            )
        if 'wrist' not in cameras:
            raise self._file.error(node, 'cameras.wrist is missing: every robot has that camera')
        return cameras

    def _section(self, node: yaml.Node, kind: Any, name: str) -> Any:
        fields = {field.name: field for field in dataclasses.fields(kind)}
        said = {
            key: self._file.value(entry, fields[key], f'{name}.{key}')
            for key, entry in self._file.entries(node, tuple(fields), name)
        }
        if 'home' in said:
            self._check_home(node, said['home'])
        if kind in (Arm, Leader) and '/' in said.get('calibration', ''):
            said['calibration'] = self._located(said['calibration'])
        return kind(**said)

    def _check_home(self, node: yaml.Node, home: list[Any]) -> None:
        numbers = [isinstance(value, int | float) and math.isfinite(value) for value in home]
        if len(home) != len(JOINTS) or not all(numbers):
            raise self._file.error(node, f'arm.home: expected {len(JOINTS)} numbers, got {home}')
        for joint, value in zip(JOINTS, home, strict=True):
            low, high = (0, 100) if joint == JOINTS[GRIPPER] else (-180, 180)
            if not low <= value <= high:
                raise self._file.error(
                    node, f'arm.home: {joint} {value:g} is not within {low} to {high}'
                )

    def _located(self, text: str) -> str:
        """Return the path `text`, written as seen from the file, as seen from here."""
        return str(self._file.path.parent / Path(text).expanduser()) if text else text


def _is_path(setting: CameraSetting) -> bool:
    return setting.source == 'video' or '/' in setting.device
