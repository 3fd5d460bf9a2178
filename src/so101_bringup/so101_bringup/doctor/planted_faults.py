"""Every fault that is planted to try the doctor, and the finding that must name it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from so101_bringup.doctor.checks import (
    bus,
    calibration,
    camera,
    checkpoint,
    clock,
    dataset,
    dds,
    disk,
    gpu,
    images,
    memory,
    network,
    port,
    processor,
    robot,
    servos,
    supply,
    usb,
    versions,
)
from so101_bringup.doctor.finding import Kind
from so101_bringup.doctor.machine import Output
from so101_bringup.doctor.stand import HOME, OVERHEAD, Stand
from so101_bringup.doctor.usb_devices import DEVICES
from so101_description.joints import JOINTS
from so101_driver.registers import (
    FIRMWARE_MINOR,
    HOMING_OFFSET,
    ID,
    MAX_TORQUE,
    MAX_VOLTAGE,
    MODE,
    MODEL,
    P_GAIN,
    PHASE,
    RETURN_DELAY,
    TORQUE_ENABLE,
)
from so101_sim import fault

Plant = Callable[[Stand], object]


@dataclass(frozen=True)
class Planted:
    """`also`: kinds that rightly come with it."""

    fault: str
    kind: Kind
    plant: Plant
    also: tuple[Kind, ...] = ()

    @property
    def on_arm(self) -> bool:
        """Whether the follower's servos show it, to any program that talks to them."""
        return self.kind not in _IN_FILES and self.kind.area in _ON_ARM


_ON_ARM = ('bus', 'servos', 'supply', 'calibration')
_IN_FILES = (
    bus.REFUSED,
    calibration.MISSING,
    calibration.LEADER_MISSING,
    calibration.INVALID,
    calibration.SHARED,
    calibration.NARROW,
)

PLANTED: list[Planted] = []


def _planted(text: str, kind: Kind, *also: Kind) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        PLANTED.append(Planted(text, kind, plant, also))
        return plant

    return add


# The robot file.


@_planted('the robot file has a key that is none', robot.INVALID)
def _(stand: Stand) -> None:
    stand.invalid = 'robot.yaml:3: unknown key prot; did you mean port?'


@_planted('nobody has written a robot file', robot.NONE)
def _(stand: Stand) -> None:
    stand.robot = replace(stand.robot, path=None)


# USB.


@_planted('a D405 on a USB 2 port', usb.REALSENSE_SLOW)
def _(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/2-1/speed', '480')


@_planted('the C920 and the follower on one USB 2 hub', usb.SHARED_HUB)
def _(stand: Stand) -> None:
    stand.machine.move('1-1', '1-4.1')
    stand.machine.move('1-3', '1-4.2')


@_planted('the follower may be put to sleep', usb.AUTOSUSPEND)
def _(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/1-1/power/control', 'auto')


@_planted('a port has cut its power', usb.OVER_CURRENT)
def _(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/usb1/usb1-port3/over_current_count', '2')


@_planted('the hub with everything on it is off', usb.ABSENT, port.MISSING, port.LEADER_MISSING,
          camera.MISSING)  # fmt: skip
def _(stand: Stand) -> None:
    for name in ('1-1', '1-2', '1-3', '2-1'):
        stand.machine.remove(f'{DEVICES}/{name}')
        stand.machine.remove(f'{DEVICES}/{name}:1.0')
    for path in ('/dev/ttyACM0', '/dev/ttyACM1', '/dev/video0'):
        stand.machine.remove(path)


# Ports.


@_planted("the follower's cable is out", port.MISSING)
def _(stand: Stand) -> None:
    stand.machine.remove('/dev/ttyACM0')


@_planted("the leader's cable is out", port.LEADER_MISSING)
def _(stand: Stand) -> None:
    stand.machine.remove('/dev/ttyACM1')


@_planted('the user is not in the group dialout', port.FORBIDDEN)
def _(stand: Stand) -> None:
    stand.machine.closed.add('/dev/ttyACM0')


@_planted('the robot file says /dev/ttyACM0', port.UNSTABLE)
def _(stand: Stand) -> None:
    stand.set_ports('/dev/ttyACM0', '/dev/so101_leader')


@_planted('another program has the port open', port.HELD)
def _(stand: Stand) -> None:
    stand.machine.start(4711, 'minicom', '/dev/ttyACM0')


@_planted('ModemManager runs, without the udev rules', port.MODEM_MANAGER)
def _(stand: Stand) -> None:
    stand.machine.start(4711, 'ModemManager')
    stand.machine.write('/run/udev/data/c166:0', 'S:serial/by-id/x')


@_planted('brltty takes the CH340', port.BRLTTY)
def _(stand: Stand) -> None:
    stand.machine.start(4711, 'brltty')
    stand.machine.write(f'{DEVICES}/1-1/idProduct', '7523')


@_planted('follower and leader are one port', port.SAME)
def _(stand: Stand) -> None:
    stand.set_ports('/dev/so101_follower', '/dev/so101_follower')


# The servo bus.


@_planted('the power supply is off', bus.SILENT)
def _(stand: Stand) -> None:
    for servo in stand.follower.servos.values():
        servo.inject(fault.SILENT)


@_planted('a file stands where the port was', bus.REFUSED)
def _(stand: Stand) -> None:
    stand.machine.remove('/dev/ttyACM0')
    stand.machine.write('/dev/ttyACM0', 'no port')


@_planted('the cable behind wrist_flex is out', bus.MISSING)
def _(stand: Stand) -> None:
    for name in ('wrist_roll', 'gripper'):
        stand.follower.servos[name].inject(fault.SILENT)


@_planted('two motors have id 3', bus.DUPLICATE, bus.MISSING)
def _(stand: Stand) -> None:
    stand.follower.change('wrist_flex', {ID: 3})
    servo = stand.follower.servos['wrist_flex']
    servo.sense(servo.angle + 700, 0.0, 0.0)


@_planted('a motor still has id 9', bus.FOREIGN, bus.MISSING)
def _(stand: Stand) -> None:
    stand.follower.change('gripper', {ID: 9})


@_planted('readings take 5 ms more', bus.SLOW)
def _(stand: Stand) -> None:
    stand.follower.pause = 0.005


@_planted('one of 50 answers is lost', bus.LOSSY)
def _(stand: Stand) -> None:
    stand.follower.lost_every = 50


@_planted('one of 8 answers is lost', bus.BROKEN)
def _(stand: Stand) -> None:
    stand.follower.lost_every = 8


@_planted('the USB cable slips out while it is read', bus.GONE)
def _(stand: Stand) -> None:
    stand.follower.replies_left = 300


@_planted('one reading in 50 takes 12 ms more', bus.UNSTEADY)
def _(stand: Stand) -> None:
    stand.follower.pause_every = 50
    stand.follower.pause = 0.012


# The servos.


@_planted('an STS3250 among them', servos.WRONG_MODEL)
def _(stand: Stand) -> None:
    stand.follower.change('elbow_flex', {MODEL: 2825})


@_planted('firmware 3.9', servos.OLD_FIRMWARE)
def _(stand: Stand) -> None:
    stand.follower.servos['wrist_flex'].inject(fault.OLD_FIRMWARE)


@_planted('a newer firmware in one servo', servos.MIXED_FIRMWARE)
def _(stand: Stand) -> None:
    stand.follower.change('gripper', {FIRMWARE_MINOR: 11})


@_planted('a servo in wheel mode', servos.WRONG_MODE)
def _(stand: Stand) -> None:
    stand.follower.change('wrist_roll', {MODE: 1})


@_planted('an encoder that fails', servos.REPORTS)
def _(stand: Stand) -> None:
    stand.follower.servos['elbow_flex'].inject(fault.ENCODER)


@_planted('an overload that latched', servos.REPORTS)
def _(stand: Stand) -> None:
    stand.follower.servos['gripper'].inject(fault.OVERLOAD)


@_planted('61 C', servos.HOT)
def _(stand: Stand) -> None:
    stand.follower.servos['shoulder_lift'].inject(fault.HOT, 61.0)


@_planted('a killed program left torque on', servos.TORQUE_ON)
def _(stand: Stand) -> None:
    for servo in stand.follower.servos.values():
        servo.write(TORQUE_ENABLE.address, b'\1')


# The supply.


@_planted('7.4 V servos on 12 V', supply.TOO_HIGH, servos.REPORTS)
def _(stand: Stand) -> None:
    for name in JOINTS:
        stand.follower.change(name, {MAX_VOLTAGE: 80})


@_planted('16 V from a 12 V supply', supply.TOO_HIGH, servos.REPORTS)
def _(stand: Stand) -> None:
    for servo in stand.follower.servos.values():
        servo.inject(fault.VOLTAGE, 16.0)


@_planted('9.5 V', supply.ODD)
def _(stand: Stand) -> None:
    for servo in stand.follower.servos.values():
        servo.inject(fault.VOLTAGE, 9.5)


@_planted("the leader's 5 V supply on the follower", supply.WEAK)
def _(stand: Stand) -> None:
    for servo in stand.follower.servos.values():
        servo.inject(fault.VOLTAGE, 5.1)


@_planted('one 7.4 V servo among those for 12 V', supply.MIXED, supply.TOO_HIGH, servos.REPORTS)
def _(stand: Stand) -> None:
    stand.follower.change('wrist_flex', {MAX_VOLTAGE: 80})


@_planted('a thin cable to the last three', supply.UNEVEN)
def _(stand: Stand) -> None:
    for name in JOINTS[3:]:
        stand.follower.servos[name].inject(fault.VOLTAGE, 11.0)


# The calibration.


@_planted('no calibration file', calibration.MISSING)
def _(stand: Stand) -> None:
    (stand.folder / 'follower.json').unlink()


@_planted('no calibration file of the leader', calibration.LEADER_MISSING)
def _(stand: Stand) -> None:
    (stand.folder / 'leader.json').unlink()


@_planted('a calibration file that was cut short', calibration.INVALID)
def _(stand: Stand) -> None:
    (stand.folder / 'follower.json').write_text('{"shoulder_pan": {"id": 1')


@_planted("another arm's calibration", calibration.DIFFERS, bus.MISSING)
def _(stand: Stand) -> None:
    stand.recalibrate('elbow_flex', homing_offset=-300)


@_planted('one calibration for both arms', calibration.SHARED, calibration.DIFFERS)
def _(stand: Stand) -> None:
    leader = replace(stand.robot.leader, calibration=stand.robot.arm.calibration)
    stand.robot = replace(stand.robot, leader=leader)


@_planted('a motor as it comes from the factory', calibration.DIFFERS)
def _(stand: Stand) -> None:
    stand.follower.change('wrist_roll', {HOMING_OFFSET: 0})


@_planted('a return delay of 500 us', calibration.RETURN_DELAYS)
def _(stand: Stand) -> None:
    stand.follower.change('shoulder_pan', {RETURN_DELAY: 250})


@_planted('positions that count turns', calibration.MULTI_TURN)
def _(stand: Stand) -> None:
    stand.follower.change('wrist_roll', {PHASE: 28})


@_planted('P = 32, as from the factory', calibration.GAINS)
def _(stand: Stand) -> None:
    stand.follower.change('elbow_flex', {P_GAIN: 32})


@_planted('a gripper without its limits', calibration.GRIPPER_LIMITS)
def _(stand: Stand) -> None:
    stand.follower.change('gripper', {MAX_TORQUE: 1000})


@_planted('a joint that was not moved while calibrating', calibration.NARROW)
def _(stand: Stand) -> None:
    stand.recalibrate('elbow_flex', range_min=1900, range_max=2200)
    stand.follower.hold(stand.calibration('follower'))


@_planted('a joint outside its range', calibration.OUTSIDE)
def _(stand: Stand) -> None:
    servo = stand.follower.servos['elbow_flex']
    servo.sense(servo.angle + 1300, 0.0, 0.0)


# The cameras' places.


@_planted("the overhead camera's cable is out", camera.MISSING)
def _(stand: Stand) -> None:
    stand.machine.remove('/dev/video0')


@_planted('the user is not in the group video', camera.FORBIDDEN)
def _(stand: Stand) -> None:
    stand.machine.closed.add('/dev/video0')


@_planted('the robot file says /dev/video0', camera.UNSTABLE)
def _(stand: Stand) -> None:
    stand.set_camera('overhead', device='/dev/video0')


@_planted('a browser has the camera open', camera.HELD)
def _(stand: Stand) -> None:
    stand.machine.start(4711, 'firefox', '/dev/video0')


@_planted('both cameras are one device', camera.SAME)
def _(stand: Stand) -> None:
    stand.set_camera('wrist', source='v4l2', device=OVERHEAD)


@_planted('two cameras, and none is named', camera.UNNAMED)
def _(stand: Stand) -> None:
    stand.machine.plug('1-5', ('046d', '0825', '', 'Webcam C270', '480', '0e'))
    stand.set_camera('overhead', device='')


@_planted('a film that is not there', camera.NO_FILE)
def _(stand: Stand) -> None:
    stand.set_camera('overhead', source='video', device=f'{HOME}/film.mp4')


# What the cameras deliver.


@_planted('a bus without room for the stream', images.REFUSED)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].refusal = 'its USB bus has no room left for the stream'


@_planted('a camera that sends nothing', images.NONE)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].silent = True


@_planted('half the rate, in dim light', images.SLOW)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].rate = 15.0


@_planted('25 images a second', images.UNEVEN)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].rate = 25.0


@_planted('a pause of 0.2 s every second', images.UNEVEN)
def _(stand: Stand) -> None:
    stand.machine.cameras['wrist'].pause = 0.2


@_planted('images 0.3 s old', images.LATE)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].latency = 0.3


@_planted('1280x720', images.SIZE)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].size = (720, 1280)


@_planted('a cap on the lens', images.BLACK)
def _(stand: Stand) -> None:
    stand.machine.cameras['wrist'].tones = (3, 4)


@_planted('a lamp in the lens', images.WHITE)
def _(stand: Stand) -> None:
    stand.machine.cameras['wrist'].tones = (255,)


@_planted('a frozen picture', images.FROZEN)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].tones = (90,)


@_planted('one image in 20 damaged', images.DAMAGED)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].damaged_every = 20


@_planted('one image in 20 lost', images.DAMAGED)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].lost_every = 20


@_planted('an exposure that the camera does not take', images.SETTINGS)
def _(stand: Stand) -> None:
    stand.machine.cameras['overhead'].warnings = ('exposure is 15600, not 20000',)


# GPU, checkpoint, dataset.


@_planted('an NVIDIA GPU without a driver', gpu.NO_DRIVER)
def _(stand: Stand) -> None:
    del stand.machine.answers['nvidia-smi']


@_planted('a driver that was updated under the running one', gpu.BROKEN)
def _(stand: Stand) -> None:
    stand.machine.answers['nvidia-smi'] = Output(
        18, 'Failed to initialize NVML: Driver/library version mismatch'
    )


@_planted('torch without CUDA', gpu.UNUSED)
def _(stand: Stand) -> None:
    stand.machine.answers['python'] = Output(0, json.dumps(['2.11.0+cpu', None, False]))


@_planted('a GPU that another program has filled', gpu.FULL)
def _(stand: Stand) -> None:
    stand.machine.answers['nvidia-smi'] = Output(
        0, 'NVIDIA GeForce RTX 4070, 580.82.07, 12282, 611'
    )


@_planted('no checkpoint where the robot file says', checkpoint.MISSING)
def _(stand: Stand) -> None:
    stand.robot = replace(stand.robot, checkpoint=str(stand.folder / 'gone'))


@_planted('a checkpoint that was copied in part', checkpoint.INVALID)
def _(stand: Stand) -> None:
    (stand.own_checkpoint() / 'model.safetensors').unlink()


@_planted('a checkpoint of random weights', checkpoint.UNTRAINED)
def _(stand: Stand) -> None:
    (stand.own_checkpoint() / 'so101.json').write_text('{"trained": false}')


@_planted('a policy with a camera that the robot has not', checkpoint.CAMERAS)
def _(stand: Stand) -> None:
    stand.robot = replace(stand.robot, cameras={'wrist': stand.robot.cameras['wrist']})


@_planted('a checkpoint of joints with other names', checkpoint.DOUBTFUL)
def _(stand: Stand) -> None:
    names = ['base', 'shoulder', 'elbow', 'pitch', 'roll', 'jaw']
    (stand.own_checkpoint() / 'so101.json').write_text(json.dumps({'joints': names}))


@_planted('a folder that is no dataset', dataset.INVALID)
def _(stand: Stand) -> None:
    stand.dataset = stand.folder


@_planted('a dataset that was copied in part', dataset.INCOMPLETE)
def _(stand: Stand) -> None:
    videos = stand.own_dataset() / 'videos'
    next(videos.rglob('*.mp4')).unlink()


@_planted('a dataset without the overhead camera', dataset.CAMERAS)
def _(stand: Stand) -> None:
    stand.own_dataset(('wrist',))


@_planted('a dataset of 10 frames a second', dataset.RATE)
def _(stand: Stand) -> None:
    path = stand.own_dataset() / 'meta' / 'info.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'fps': 10}))


# DDS.


@_planted('a terminal in which nothing was sourced', dds.NO_PROFILE, dds.OPEN)
def _(stand: Stand) -> None:
    stand.machine.environment.clear()


@_planted('a profile that was moved away', dds.PROFILE_GONE)
def _(stand: Stand) -> None:
    stand.machine.environment[dds.PROFILE] = '/opt/moved.xml'


@_planted('a profile without a segment size', dds.SMALL_SEGMENT)
def _(stand: Stand) -> None:
    stand.machine.write('/opt/so101/fastdds.xml', '<dds><profiles/></dds>')


@_planted("a container's 64 MB of shared memory", dds.SHM_FULL)
def _(stand: Stand) -> None:
    stand.machine.free['/dev/shm'] = 64_000_000


@_planted('a killed node left its segment', dds.STALE)
def _(stand: Stand) -> None:
    stand.machine.write('/dev/shm/fastrtps_0123456789abcdef_el', '')


@_planted('ROS_DOMAIN_ID=300', dds.DOMAIN)
def _(stand: Stand) -> None:
    stand.machine.environment['ROS_DOMAIN_ID'] = '300'


@_planted('discovery open to the network', dds.OPEN)
def _(stand: Stand) -> None:
    stand.machine.environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'


@_planted('Cyclone DDS', dds.OTHER_RMW)
def _(stand: Stand) -> None:
    stand.machine.environment['RMW_IMPLEMENTATION'] = 'rmw_cyclonedds_cpp'


@_planted('ROS_LOCALHOST_ONLY=1', dds.OLD_SWITCH)
def _(stand: Stand) -> None:
    stand.machine.environment['ROS_LOCALHOST_ONLY'] = '1'


# The computer.


@_planted("the kernel's usual socket buffer", network.SMALL_BUFFER)
def _(stand: Stand) -> None:
    stand.machine.write('/proc/sys/net/core/rmem_max', '212992')


@_planted('recordings that belong to root', disk.FORBIDDEN)
def _(stand: Stand) -> None:
    stand.machine.unwritable = True


@_planted('a full disk', disk.FULL)
def _(stand: Stand) -> None:
    stand.machine.free[HOME] = 1_500_000_000


@_planted('room for an hour', disk.LOW)
def _(stand: Stand) -> None:
    stand.machine.free[HOME] = 14_000_000_000


@_planted('an SD card of 8 MB/s', disk.SLOW)
def _(stand: Stand) -> None:
    stand.machine.writing = 8.0


@_planted('the governor powersave of an old driver', processor.POWERSAVE)
def _(stand: Stand) -> None:
    folder = '/sys/devices/system/cpu/cpu0/cpufreq'
    stand.machine.write(f'{folder}/scaling_driver', 'acpi-cpufreq')
    stand.machine.write(f'{folder}/scaling_governor', 'powersave')


@_planted('a compilation on all cores', processor.BUSY)
def _(stand: Stand) -> None:
    stand.machine.programs = (31.0, 16)


@_planted('a browser that has taken the memory', memory.LOW)
def _(stand: Stand) -> None:
    stand.machine.write('/proc/meminfo', 'MemTotal: 8000000 kB\nMemAvailable: 900000 kB')


@_planted('Python 3.10', versions.PYTHON)
def _(stand: Stand) -> None:
    stand.machine.python = '3.10.12'


@_planted('no LeRobot in this Python', versions.MISSING)
def _(stand: Stand) -> None:
    del stand.machine.packages['lerobot']


@_planted('numpy 1.26', versions.DIFFERENT)
def _(stand: Stand) -> None:
    stand.machine.packages['numpy'] = '1.26.4'


@_planted('ROS 2 Humble is sourced', versions.DISTRIBUTION)
def _(stand: Stand) -> None:
    stand.machine.environment['ROS_DISTRO'] = 'humble'


@_planted('nobody sets the clock', clock.UNSYNCHRONISED)
def _(stand: Stand) -> None:
    stand.machine.answers['timedatectl'] = Output(0, 'no')


@_planted('the clock is set meanwhile', clock.JUMPED)
def _(stand: Stand) -> None:
    stand.machine.jump = 1_500_000_000


@_planted('an empty clock battery', clock.WRONG)
def _(stand: Stand) -> None:
    stand.machine.system = 946_684_800_000_000_000
