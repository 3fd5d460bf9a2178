"""From the motion of a leader arm to the follower's goal, beside two cameras and the recorder.

`make bench NAME=teleop`; a minute. Both arms are emulated buses at the pace of 1 Mbps, without
physics; the leader's shafts move as sines that are known at any time, so that each goal that the
follower's servos receive tells the time at which the leader was there.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, JointState

from so101_bringup import figures, runner
from so101_bringup.figures import at_most, untargeted
from so101_bringup.wiring import NodeSpec, environment
from so101_cameras.publisher import CameraPublisher
from so101_description.joints import JOINTS
from so101_driver.bus import Bus, BusError
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_driver.packet import Decoder, Instruction
from so101_driver.registers import (
    GOAL_POSITION,
    PRESENT_POSITION,
    STATE_ADDRESS,
    STATE_SIZE,
    TORQUE_ENABLE,
)
from so101_driver.serial_port import SerialPort
from so101_node.node import Node
from so101_node.stamp import to_nanoseconds
from so101_node.topics import (
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_START,
    LEADER_STATES,
    REFERENCE,
    Service,
)
from so101_sim.guided_arm import GuidedArm
from so101_sim.mounting import calibration_path
from so101_sim.serial_device import SerialDevice

SECONDS = 20.0
RATE = 30.0  # of the cameras, and of the loop that is the baseline
TIMEOUT = 60.0
CALIBRATION = calibration_path()

# The leader's sines. Spread over the turn, the sum of the squared speeds is the same at any time,
# so every goal tells its time equally well: to 0.3 ms, with ticks of 1.5 mrad.
_AMPLITUDE = 0.4  # rad
_FREQUENCY = 0.5  # Hz: 1.26 rad/s at the fastest
_PHASES = np.arange(len(JOINTS)) * np.pi / 3

# Milliseconds around the arrival of a goal among which the leader's pose is looked for.
_AGES = np.arange(-20.0, 150.0, 0.1)

Array = NDArray[np.float64]


class Sines:
    """The leader's motion."""

    def __init__(self, calibration: Calibration) -> None:
        self._middle = (calibration.lower + calibration.upper) / 2

    def take(self, joints: NDArray[np.bool_], angles: Array, seconds: float) -> None:
        """Nothing: none is ever taken away."""

    def pose(self, seconds: float | Array) -> Array:
        """Return radians, shape (..., 6), at seconds of time.monotonic()."""
        angle = 2 * np.pi * _FREQUENCY * np.asarray(seconds)[..., None] + _PHASES
        return self._middle + _AMPLITUDE * np.sin(angle)


class Still:
    """The motion of an arm that nobody touches."""

    def __init__(self, calibration: Calibration) -> None:
        self._middle = (calibration.lower + calibration.upper) / 2

    def take(self, joints: NDArray[np.bool_], angles: Array, seconds: float) -> None:
        """Nothing: a joint that is let go of is where it was."""

    def pose(self, seconds: float) -> Array:
        return self._middle


def emulate(folder: Path) -> None:
    """Be both arms until a signal; then write the goals that came, and when, in a file."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in every thread: it is waited for
    calibration = load(str(CALIBRATION))
    leader = GuidedArm(calibration, Sines(calibration), 0)
    follower = GuidedArm(calibration, Still(calibration), 0)
    decoder = Decoder()
    goals: list[tuple[int, ...]] = []

    def answer(data: bytes) -> bytes:
        now = time.monotonic_ns()
        for packet in decoder.feed(data):
            if packet.code == Instruction.SYNC_WRITE and (ticks := _goals(packet.params)):
                goals.append((now, *ticks))
        return follower.receive(data, now)

    sys.setswitchinterval(0.0005)
    devices = [
        SerialDevice(folder / 'leader', lambda data: leader.receive(data, time.monotonic_ns())),
        SerialDevice(folder / 'follower', answer),
    ]
    signal.sigwait({signal.SIGTERM})
    for device in devices:
        device.close()
    np.save(folder / 'goals.npy', np.array(goals, dtype=np.int64))


def _goals(params: bytes) -> list[int]:
    """Return the goals, in ticks, of a sync write, servo by servo; none if it writes others."""
    address, size = params[:2]
    place = GOAL_POSITION.address - address
    if not 0 <= place <= size - GOAL_POSITION.size:
        return []
    starts = range(3 + place, len(params), size + 1)
    return [GOAL_POSITION.decode(params[start : start + 2]) for start in starts]


def film() -> None:
    """Publish the images of all cameras until a signal."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('cameras')
    cameras = [CameraPublisher(node, name, CameraInfo()) for name in CAMERAS]
    rows, columns = np.mgrid[:480, :640]
    pixels = np.stack((rows // 2, columns // 3, (rows + columns) % 256), axis=2).astype(np.uint8)
    due = time.monotonic()
    while True:
        for camera in cameras:
            camera.publish(pixels, time.time_ns())
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


def loop(folder: Path) -> None:
    """Teleoperate as one loop at 30 Hz does: observe, read the leader, send; until a signal."""
    calibration = load(str(CALIBRATION))
    leader, follower = (Bus(SerialPort(str(folder / name))) for name in ('leader', 'follower'))
    ids, size = calibration.ids, PRESENT_POSITION.size
    due = time.monotonic()
    while True:
        with suppress(BusError):  # of a busy machine: the next cycle comes soon
            follower.sync_write(TORQUE_ENABLE.address, dict.fromkeys(ids, b'\1'))
            follower.sync_read(ids, STATE_ADDRESS, STATE_SIZE)
            read = leader.sync_read(ids, PRESENT_POSITION.address, size)  # as the goal is coded
            follower.sync_write(GOAL_POSITION.address, dict(zip(ids, read, strict=True)))
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def running(*line: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it with SIGTERM."""
    process = subprocess.Popen(line)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@contextmanager
def arms(folder: Path) -> Iterator[None]:
    with running(sys.executable, __file__, 'emulate', str(folder)) as process:
        _until(lambda: (folder / 'follower').is_symlink() or process.poll() is not None)
        yield


class Listener:
    """What is said while teleop runs, undecoded: the leader's states and the references."""

    def __init__(self) -> None:
        self._node = Node('bench')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.leader: list[bytes] = []
        self.reference: list[bytes] = []
        self.teleop: dict[str, str] = {}
        self._node.subscribe(LEADER_STATES, self.leader.append, raw=True)
        self._node.subscribe(REFERENCE, self.reference.append, raw=True)
        self._node.subscribe(DIAGNOSTICS, self._hear)

    def until(self, condition: Callable[[], Any], seconds: float = TIMEOUT) -> None:
        _until(condition, seconds, lambda: self._executor.spin_once(timeout_sec=0.1))

    def call(self, service: Service) -> None:
        client = self._node.client(service)
        self.until(client.service_is_ready)
        future = client.call_async(service.type.Request())
        self.until(future.done)
        if not future.result().success:
            sys.exit(f'{service.name}: {future.result().message}')

    def _hear(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'teleop/arms':
                self.teleop = {pair.key: pair.value for pair in status.values}


def _until(
    condition: Callable[[], Any],
    seconds: float = TIMEOUT,
    wait: Callable[[], Any] = lambda: time.sleep(0.01),
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f'it did not happen within {seconds:g} s')
        wait()


def measure(folder: Path, rate: float) -> tuple[Array, Array, Listener]:
    """Run the graph; return when goals came, the goals, and what was said."""
    follower, leader = str(folder / 'follower'), str(folder / 'leader')
    calibration = {'calibration': str(CALIBRATION)}
    specs = [
        NodeSpec('so101_episodes', 'recorder', 'recorder', {'directory': str(folder / 'bags')}),
        NodeSpec(
            'so101_driver',
            'driver',
            'driver',
            {'port': follower, 'command_timeout': 0.25, **calibration},
        ),
        NodeSpec(
            'so101_driver',
            'driver',
            'driver',
            {'port': leader, 'role': 'leader', 'rate': rate, **calibration},
            namespace='leader',
        ),
        NodeSpec('so101_driver', 'teleop', 'teleop', {'port': follower, 'ramp_velocity': 2.0}),
    ]
    with arms(folder), running(sys.executable, __file__, 'film'):
        listener = Listener()
        processes = [subprocess.Popen(runner.command(spec)) for spec in specs]
        try:
            listener.until(
                lambda: (
                    listener.teleop.get('state') == 'following'
                    or any(process.poll() is not None for process in processes)
                )
            )
            if any(process.poll() is not None for process in processes):
                sys.exit('a node has ended; its last line says why')
            listener.call(EPISODE_START)
            listener.leader.clear()
            listener.reference.clear()
            begin = time.monotonic()
            end = begin + SECONDS
            listener.until(lambda: time.monotonic() > end, 2 * SECONDS)
            listener.call(EPISODE_DISCARD)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(TIMEOUT)
    times, poses = goals(folder)
    within = (times > begin) & (times < end)
    return times[within], poses[within], listener


def goals(folder: Path) -> tuple[Array, Array]:
    """Return when each new goal came (n,), s of time.monotonic(), and the goals (n, 6)."""
    calibration = load(str(CALIBRATION))
    rows = np.load(folder / 'goals.npy')
    new = np.append(True, (np.diff(rows[:, 1:], axis=0) != 0).any(axis=1))
    poses = np.array([calibration.radians(row) for row in rows[new, 1:]])
    return rows[new, 0] * 1e-9, poses


def ages(times: Array, poses: Array) -> Array:
    """Return how long ago, in ms, the leader was at each goal: where it fits best."""
    motion = Sines(load(str(CALIBRATION)))
    return np.array(
        [
            _AGES[((motion.pose(moment - _AGES * 1e-3) - pose) ** 2).sum(axis=1).argmin()]
            for moment, pose in zip(times, poses, strict=True)
        ]
    )


def delays(times: Array, ages: Array) -> Array:
    """Return for each half millisecond how long, in ms, its motion took to be in a goal."""
    shown = np.maximum.accumulate(times * 1e3 - ages)  # the leader's time that each goal shows
    moments = np.arange(shown[0], shown[-1], 0.5)
    return times[np.searchsorted(shown, moments)] * 1e3 - moments


def stamp_ages(listener: Listener) -> Array:
    """Return the ms from the stamp of a leader's state to that of the reference that shows it."""
    led, leader = _decoded(listener.leader)
    written, reference = _decoded(listener.reference)
    new = np.append(True, (np.diff(reference, axis=0) != 0).any(axis=1))
    found = []
    for moment, pose in zip(written[new], reference[new], strict=True):
        recent = np.flatnonzero((led > moment - 0.15) & (led < moment))
        if len(recent):
            best = ((leader[recent] - pose) ** 2).sum(axis=1).argmin()
            found.append((moment - led[recent[best]]) * 1e3)
    return np.array(found)


def _decoded(messages: list[bytes]) -> tuple[Array, Array]:
    decoded = [deserialize_message(data, JointState) for data in messages]
    stamps = np.array([to_nanoseconds(message.header.stamp) * 1e-9 for message in decoded])
    return stamps, np.array([message.position for message in decoded])


def percentile(values: Array, q: float) -> float:
    return float(np.percentile(values, q))


def baseline(folder: Path) -> Array:
    """Return the delays of the loop."""
    with arms(folder), running(sys.executable, __file__, 'loop', str(folder)):
        time.sleep(SECONDS / 2)
    times, poses = goals(folder)
    return delays(times[10:], ages(times[10:], poses[10:]))


def main() -> None:
    os.environ.update(environment())
    os.environ.pop('SO101_END_WITH_PARENT', None)
    rclpy.init()
    folder = Path(tempfile.mkdtemp(prefix='so101_bench_'))
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 200.0
    try:
        print(f'{SECONDS:g} s of teleoperation ...', flush=True)
        times, poses, listener = measure(folder, rate)
        print(f'{SECONDS / 2:g} s of a loop at {RATE:g} Hz ...', flush=True)
        slow = baseline(folder)
    finally:
        shutil.rmtree(folder)
    age = ages(times, poses)
    delay, stamped = delays(times, age), stamp_ages(listener)
    other: dict[str, Any] = {'baseline_name': f'a loop at {RATE:g} Hz'}
    found = [
        untargeted('motion_to_goal_p50', percentile(delay, 50), 'ms',
                   baseline=percentile(slow, 50), **other),
        at_most('motion_to_goal_p99', percentile(delay, 99), 10.0, 'ms',
                baseline=percentile(slow, 99), **other),
        untargeted('age_of_a_goal_p50', percentile(age, 50), 'ms'),
        untargeted('age_of_a_goal_p99', percentile(age, 99), 'ms'),
        untargeted('leader_stamp_to_reference_stamp_p50', percentile(stamped, 50), 'ms'),
        untargeted('leader_stamp_to_reference_stamp_p99', percentile(stamped, 99), 'ms'),
    ]  # fmt: skip
    figures.show('Teleoperation beside two cameras and the recorder', found)
    figures.write(Path('build') / 'bench' / 'teleop.json', 'teleop', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['emulate', folder]:
            emulate(Path(folder))
        case ['film']:
            film()
        case ['loop', folder]:
            loop(Path(folder))
        case _:
            main()
