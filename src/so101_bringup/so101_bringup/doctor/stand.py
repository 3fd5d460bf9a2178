"""A made-up robot PC, sound in everything, in which faults can be planted to try the doctor.

Files of /sys, /proc and /dev lie below a folder; both arms are emulated servos; what is no file
(programs' answers, clocks, disks) are attributes.
"""

import errno
import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from so101_bringup.doctor.arm_reading import ROUNDS
from so101_bringup.doctor.checks.dds import PROFILE
from so101_bringup.doctor.checks.versions import PACKAGES, lock_file, pins
from so101_bringup.doctor.machine import Instant, Machine, Output
from so101_bringup.doctor.plugged import ARMS, CAMERAS
from so101_bringup.doctor.subject import Subject
from so101_bringup.doctor.usb_devices import DEVICES
from so101_cameras.image import to_jpeg
from so101_cameras.sources.source import DamagedFrame, Delivery, Frame, Source, SourceError
from so101_description.joints import GRIPPER, JOINTS
from so101_driver.calibration import Calibration, JointCalibration, Role
from so101_driver.calibration_file import load
from so101_driver.eprom import GRIPPER_SETTINGS
from so101_driver.registers import (
    HOMING_OFFSET,
    MAX_POSITION,
    MIN_POSITION,
    Register,
)
from so101_driver.serial_port import SerialPort
from so101_node import dds
from so101_node.robot_file import Arm, CameraSetting, Leader, Robot
from so101_sim.mounting import calibration_path
from so101_sim.servo import Servo
from so101_sim.servo_bus import ServoBus

HOME = '/home/ada'
OVERHEAD = '/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_8A3F21DF-video-index0'

_LISTENER = 'so101_bringup.doctor.image_listener'
_PROFILE = '/opt/so101/fastdds.xml'

# Bytes: a reply of more is that of all servos.
_ALL = 100

_BYTE = 10e-6  # seconds on the wire at 1 Mbps

_NOW = 1_790_000_000_000_000_000  # ns: in September 2026
_GB = 1_000_000_000

# USB name -> vendor, product, serial, title, Mbps, interface class.
_USB = {
    '1-1': ('1a86', '55d3', '5A46083123', 'USB Single Serial', '12', '02'),
    '1-2': ('1a86', '55d3', '5A46083456', 'USB Single Serial', '12', '02'),
    '1-3': ('046d', '08e5', '8A3F21DF', 'HD Pro Webcam C920', '480', '0e'),
    '2-1': ('8086', '0b5b', '123622270412', 'Intel(R) RealSense(TM) 405', '5000', '0e'),
}
_TTY = {'ttyACM0': '1-1', 'ttyACM1': '1-2'}
_VIDEO = {'video0': ('1-3', 0), 'video1': ('1-3', 1), 'video2': ('2-1', 0)}


class MadeUpCamera:
    """A camera as `Source` has it, whose images take no time to come.

    `rate` in hertz; `latency` and `pause` (before every thirtieth image) in seconds; one of
    `damaged_every` images is damaged, one of `lost_every` lost, 0: none. `tones`: the brightness
    of its pictures, in turn.
    """

    def __init__(self, machine: 'MadeUpMachine') -> None:
        self.refusal = ''
        self.rate = 30.0
        self.latency = 0.04
        self.pause = 0.0
        self.damaged_every = 0
        self.lost_every = 0
        self.silent = False
        self.size = (480, 640)
        self.tones: tuple[int, ...] = (90, 110)
        self.warnings: tuple[str, ...] = ()
        self._machine = machine
        self._number = 0

    def open(self) -> Delivery:
        if self.refusal:
            raise SourceError(self.refusal)
        height, width = self.size
        return Delivery('camera', 'USB at 480 Mbit/s', width, height, 30.0, 'MJPG', self.warnings)

    def read(self, timeout: float) -> Frame:
        if self.silent:
            raise TimeoutError
        self._number += 1
        seconds = 1 / self.rate + (self.pause if self._number % 30 == 0 else 0.0)
        self._machine.pass_by(round(seconds * 1e9))
        if self.damaged_every and self._number % self.damaged_every == 0:
            raise DamagedFrame('cut short', self._number)
        if self.lost_every and self._number % self.lost_every == 0:
            self._number += 1
        tone = self.tones[self._number % len(self.tones)]
        captured = self._machine.system - round(self.latency * 1e9)
        return Frame(_picture(*self.size, tone), captured, self._number)

    def close(self) -> None:
        pass


@functools.cache
def _picture(height: int, width: int, tone: int) -> bytes:
    """Return a JPEG image that is as bright all over, but for a pattern on anything but black."""
    pixels = np.full((height, width, 3), tone, np.uint8)
    if 0 < tone < 255:
        pixels[::40, :, :] = tone // 2
    return to_jpeg(pixels)


class MadeUpMachine(Machine):
    """`answers`: what programs say, by the first word; `closed`: paths that this user may not
    open; `free`: bytes by folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            root,
            {
                PROFILE: _PROFILE,
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                'ROS_DISTRO': 'jazzy',
            },
        )
        self.environment: dict[str, str]
        self.answers: dict[str, Output] = {
            'nvidia-smi': Output(0, 'NVIDIA GeForce RTX 4070, 580.82.07, 12282, 11480'),
            'python': Output(0, json.dumps(['2.11.0', '13.0', True])),
            'timedatectl': Output(0, 'yes'),
        }
        self.closed: set[str] = set()
        self.free: dict[str, int] = {'/dev/shm': 8 * _GB, HOME: 200 * _GB}
        self.writing = 0.2  # seconds that it takes
        self.unwritable = False
        self.python = '3.12.3'
        lock = lock_file()
        locked = pins(lock.read_text()) if lock else {}
        self.packages = {name: locked.get(name, '1.0') for name in PACKAGES}
        self.arms: dict[str, EmulatedArm] = {}  # by their devices
        self.passed = 0.0  # seconds that the bus took
        self.system, self.steady = _NOW, 0  # nanoseconds
        self.jump = 0  # nanoseconds by which the system clock is set after the first look
        self.cameras = {name: MadeUpCamera(self) for name in CAMERAS}
        self.programs = (0.5, 16)
        self._make()

    def write(self, name: str, text: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{text}\n')

    def link(self, name: str, target: str) -> None:
        """Put a link at a path, in place of one."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def remove(self, name: str) -> None:
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def plug(self, name: str, device: Sequence[str]) -> None:
        """Put a USB device at a port: vendor, product, serial, title, Mbps, interface class."""
        keys = ('idVendor', 'idProduct', 'serial', 'product', 'speed')
        for key, text in zip(keys, device[:5], strict=True):
            self.write(f'{DEVICES}/{name}/{key}', text)
        self.write(f'{DEVICES}/{name}/power/control', 'on')
        self.write(f'{DEVICES}/{name}:1.0/bInterfaceClass', device[5])

    def move(self, old: str, new: str) -> None:
        """Plug a device into another port."""
        device = _USB[old]
        for name in (old, f'{old}:1.0'):
            self.remove(f'{DEVICES}/{name}')
        self.plug(new, device)
        for kind, nodes in (('tty', _TTY), ('video4linux', {k: v[0] for k, v in _VIDEO.items()})):
            for node, place in nodes.items():
                if place == old:
                    self._node(kind, node, new)

    def start(self, process: int, name: str, opened: str = '') -> None:
        """Let a program run, which has a file open."""
        self.write(f'/proc/{process}/comm', name)
        if opened:
            self.link(f'/proc/{process}/fd/7', opened)

    def open_port(self, name: str) -> SerialPort:
        device = self.chain(name)[-1]
        if device in self.arms and not self.text(device):
            return EmulatedPort(name, self.arms[device], self)
        return super().open_port(name)

    def open_source(self, name: str, setting: CameraSetting) -> Source:
        return self.cameras[name]

    def seconds(self) -> float:
        return self.passed

    def run(self, *words: str, seconds: float = 10.0) -> Output | None:
        if _LISTENER in words:
            return self.answers.get('image_listener')
        name = Path(words[0]).name
        return self.answers.get('python' if name.startswith('python') else name)

    def usable(self, name: str) -> bool:
        return not self.closed & set(self.chain(name))

    def free_bytes(self, folder: str) -> int | None:
        return next((size for name, size in self.free.items() if folder.startswith(name)), None)

    def total_bytes(self, folder: str) -> int | None:
        return 16 * _GB

    def write_seconds(self, folder: str, size: int) -> float:
        if self.unwritable:
            raise PermissionError(13, 'Permission denied')
        return self.writing

    def versions(self, packages: Sequence[str]) -> tuple[str, dict[str, str]]:
        return self.python, dict(self.packages)

    def now(self) -> Instant:
        self.system, jump = self.system + self.jump, self.jump
        self.jump = 0
        return Instant(self.system - jump, self.steady)

    def pass_by(self, nanoseconds: int) -> None:
        self.system += nanoseconds
        self.steady += nanoseconds

    def load(self) -> tuple[float, int]:
        return self.programs

    def _make(self) -> None:
        for bus, speed in (('usb1', '480'), ('usb2', '10000')):
            self.write(f'{DEVICES}/{bus}/speed', speed)
        for name, device in _USB.items():
            self.plug(name, device)
        for number, (node, place) in enumerate(_TTY.items()):
            self._node('tty', node, place)
            self.write(f'/dev/{node}', '')
            self.write(f'/sys/class/tty/{node}/dev', f'166:{number}')
            self.write(f'/run/udev/data/c166:{number}', 'S:so101\nE:ID_MM_PORT_IGNORE=1')
            serial = _USB[place][2]
            self.link(
                f'/dev/serial/by-id/usb-1a86_USB_Single_Serial_{serial}-if00', f'../../{node}'
            )
        self.link('/dev/so101_follower', 'ttyACM0')
        self.link('/dev/so101_leader', 'ttyACM1')
        for node, (place, index) in _VIDEO.items():
            self._node('video4linux', node, place)
            self.write(f'/sys/class/video4linux/{node}/index', str(index))
            self.write(f'/dev/{node}', '')
        self.link(OVERHEAD, '../../video0')
        self.write('/proc/1/comm', 'systemd')
        self.write('/proc/meminfo', 'MemTotal: 32000000 kB\nMemAvailable: 24000000 kB')
        for name in ('rmem_max', 'wmem_max'):
            self.write(f'/proc/sys/net/core/{name}', '4194304')
        frequency = '/sys/devices/system/cpu/cpu0/cpufreq'
        self.write(f'{frequency}/scaling_governor', 'performance')
        self.write(f'{frequency}/scaling_driver', 'intel_pstate')
        self.write('/sys/bus/pci/devices/0000:01:00.0/vendor', '0x10de')
        self.write('/sys/bus/pci/devices/0000:01:00.0/class', '0x030000')
        self.write(_PROFILE, Path(dds.profile()[PROFILE]).read_text().strip())
        self.path('/dev/shm').mkdir(parents=True)
        self.path(HOME).mkdir(parents=True)

    def _node(self, kind: str, node: str, place: str) -> None:
        self.link(f'/sys/class/{kind}/{node}/device', f'../../../bus/usb/devices/{place}:1.0')


class EmulatedArm:
    """Six servos that hold a calibration and LeRobot's settings; `servos` by their joints.

    One of `lost_every` replies is lost, 0: none. One of `pause_every` readings of all servos takes
    `pause` seconds more. The port goes after `replies_left`.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.servos = {
            name: _servo(name, joint, {})
            for name, joint in zip(JOINTS, calibration.joints, strict=True)
        }
        self.bus = ServoBus(list(self.servos.values()))
        self.lost_every = 0
        self.pause = 0.0
        self.pause_every = 1
        self.replies_left = 1_000_000
        self.paused = 0.0  # seconds, in all
        self._replies = 0

    @property
    def gone(self) -> bool:
        return self._replies > self.replies_left

    def answer(self, data: bytes) -> bytes:
        """Take bytes from the host; return what comes back."""
        reply = self.bus.receive(data)
        if not reply:
            return b''
        self._replies += 1
        if len(reply) > _ALL and self._replies % self.pause_every == 0:
            self.paused += self.pause
        lost = self.lost_every and self._replies % self.lost_every == 0
        return b'' if lost or self.gone else reply

    def change(self, name: str, registers: Mapping[Register, int]) -> None:
        """Put another motor in the place of a joint's: the same but for some of its EPROM."""
        joint = self.calibration.joints[JOINTS.index(name)]
        new = _servo(name, joint, registers)
        self.bus.servos[self.bus.servos.index(self.servos[name])] = new
        self.servos[name] = new

    def hold(self, calibration: Calibration) -> None:
        """Take another calibration into the servos."""
        self.calibration = calibration
        for name in JOINTS:
            self.change(name, {})


class EmulatedPort(SerialPort):
    """The port of an emulated arm; what an answer takes on the wire passes on the made-up clock.

    Nothing waits, so that a busy computer changes nothing of what is measured.
    """

    def __init__(self, path: str, arm: EmulatedArm, machine: MadeUpMachine) -> None:
        self.path = path
        self.baudrate = 1_000_000
        self._arm = arm
        self._machine = machine
        self._input = b''

    def close(self) -> None:
        pass

    def discard(self) -> int:
        seen, self._input = len(self._input), b''
        return seen

    def write(self, data: bytes) -> None:
        before = self._arm.paused
        reply = self._arm.answer(data)
        self._machine.passed += _BYTE * (len(data) + len(reply)) + self._arm.paused - before
        if self._arm.gone:
            raise OSError(errno.EIO, 'Input/output error')
        self._input += reply

    def read(self, deadline: float) -> bytes:
        data, self._input = self._input, b''
        return data


def _servo(name: str, joint: JointCalibration, registers: Mapping[Register, int]) -> Servo:
    """Return a servo in the middle of its range."""
    eprom = {
        HOMING_OFFSET: joint.homing_offset,
        MIN_POSITION: joint.range_min,
        MAX_POSITION: joint.range_max,
        **(GRIPPER_SETTINGS if name == JOINTS[GRIPPER] else {}),
        **registers,
    }
    middle = (joint.range_min + joint.range_max) / 2 + joint.homing_offset
    return Servo(joint.id, middle, eprom)


class Stand:
    """The machine, the robot that is described, and both arms."""

    def __init__(self, folder: Path, checkpoint: Path | None = None) -> None:
        """`folder` must be new. `checkpoint`: a sound one."""
        self.machine = MadeUpMachine(folder / 'root')
        self.folder = folder
        self.dataset: Path | None = None
        self.invalid = ''
        calibrations = {role: self._calibrate(role) for role in ARMS}
        self.arms = {role: EmulatedArm(load(path)) for role, path in calibrations.items()}
        for number, role in enumerate(ARMS):
            self.machine.arms[f'/dev/ttyACM{number}'] = self.arms[role]
        self.robot = Robot(
            path=folder / 'robot.yaml',
            arm=Arm('/dev/so101_follower', str(calibrations['follower'])),
            leader=Leader('/dev/so101_leader', str(calibrations['leader'])),
            cameras={
                'wrist': CameraSetting('realsense'),
                'overhead': CameraSetting('v4l2', OVERHEAD),
            },
            checkpoint=str(checkpoint or folder / 'none'),
            recordings=f'{HOME}/recordings',
        )

    @property
    def follower(self) -> EmulatedArm:
        return self.arms['follower']

    def subject(self, rounds: int = ROUNDS) -> Subject:
        return Subject(self.machine, self.robot, self.invalid, self.dataset, rounds)

    def set_ports(self, follower: str, leader: str) -> None:
        """Name ports in the robot file."""
        self.robot = replace(
            self.robot,
            arm=replace(self.robot.arm, port=follower),
            leader=replace(self.robot.leader, port=leader),
        )

    def calibration(self, role: Role) -> Calibration:
        """Return what the arm's file holds now."""
        return load(self.folder / f'{role}.json')

    def own_checkpoint(self) -> Path:
        """Return a copy of the checkpoint, for the robot file, to be damaged."""
        copy = self.folder / 'checkpoint'
        shutil.copytree(self.robot.checkpoint, copy)
        self.robot = replace(self.robot, checkpoint=str(copy))
        return copy

    def own_dataset(self, cameras: tuple[str, ...] = ('wrist', 'overhead')) -> Path:
        """Return a small dataset, which is examined, too; to be damaged."""
        # Only who plants a fault there waits for these.
        from so101_training.scripted.dataset_writer import write_dataset
        from so101_training.scripted.motion import Plan
        from so101_training.scripted.scene import scene

        random = np.random.default_rng(0)
        made = scene(random, (48, 64), Plan.drawn(random), cameras)
        self.dataset = self.folder / 'dataset'
        write_dataset(self.dataset, [made], (48, 64), cameras)
        return self.dataset

    def set_camera(self, name: str, **changes: str) -> None:
        """Change an entry of the robot file."""
        setting = replace(self.robot.cameras[name], **changes)  # type: ignore[arg-type]
        self.robot = replace(self.robot, cameras={**self.robot.cameras, name: setting})

    def recalibrate(self, name: str, **changes: int) -> None:
        """Change a joint in the follower's calibration file."""
        path = Path(self.robot.arm.calibration)
        content = json.loads(path.read_text())
        content[name] |= changes
        path.write_text(json.dumps(content))

    def _calibrate(self, role: Role) -> Path:
        """Write a calibration; the two arms' differ."""
        sound = load(calibration_path())
        shift = 0 if role == 'follower' else 25
        content = {
            name: asdict(replace(joint, homing_offset=joint.homing_offset + shift))
            for name, joint in zip(JOINTS, sound.joints, strict=True)
        }
        path = self.folder / f'{role}.json'
        path.write_text(json.dumps(content))
        return path
