"""How soon each fault of a camera is on /diagnostics, false alarms, and what judging costs.

`make bench NAME=image_health`; four minutes. No simulation: pictures with noise at 30 Hz,
and an arm that moves; the faults are of so101_sim. Writes the table of docs/image_health.md.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from std_msgs.msg import String

from so101_bringup import figures, runner
from so101_bringup.figures import at_most, exactly, untargeted
from so101_bringup.wiring import NodeSpec, environment
from so101_cameras.image import Array, from_jpeg, to_jpeg
from so101_cameras.image_health import ImageHealth, Kind
from so101_cameras.picture import Compressed, Picture, Raw
from so101_cameras.poses import Poses
from so101_cameras.publisher import CameraPublisher
from so101_description.joints import JOINTS
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS, JOINT_STATES, SIM_FAULT
from so101_sim import camera_fault
from so101_sim.camera_fault import CameraFault, CameraTrouble, Order

DOCUMENT = Path('docs') / 'image_health.md'
SUMMARY = 'In this table: '
HEAD = '| fault | kind | noticed | over | policy | recorder |\n|---|---|---|---|---|---|\n'

RATE = 30.0
TRIALS = 4  # of each fault
SOUND = 60.0  # seconds of a sound stream, of which the cost is taken too
BASELINE = 15.0
MINUTES = 30  # of a stream by its times alone
TIMEOUT = 20.0

KINDS = {
    CameraFault.SILENT: Kind.SILENT,
    CameraFault.FROZEN: Kind.FROZEN,
    CameraFault.BLACK: Kind.BLACK,
    CameraFault.WHITE: Kind.WHITE,
    CameraFault.SMALL: Kind.SIZE,
    CameraFault.HALF: Kind.SLOW,
    CameraFault.LATE: Kind.LATE,
    CameraFault.AHEAD: Kind.STAMPS,
    CameraFault.BURNT: Kind.OVEREXPOSED,
    CameraFault.DRIFT: Kind.DRIFT,
    CameraFault.TINT: Kind.COLOUR,
}
STRUCK = 'overhead'


def scenes(count: int) -> list[Array]:
    """Return pictures of one scene, (480, 640, 3), each with a sensor's noise of its own."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    plain = np.stack((rows // 4 + 60, columns // 5 + 50, (rows + columns) // 8 + 40), axis=2)
    return [
        np.clip(plain + random.normal(0, 2, plain.shape), 0, 255).astype(np.uint8)
        for _ in range(count)
    ]


def film() -> None:
    """Be both cameras and a moving arm until a signal; fail as ordered."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('sim_cameras')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    troubles = {name: CameraTrouble() for name in CAMERAS}

    def strike(message: String) -> None:
        order = camera_fault.parse(message.data)
        troubles[order.camera].fault = order.fault

    node.subscribe(SIM_FAULT, strike)
    joints = node.publisher(JOINT_STATES)
    cameras = {name: CameraPublisher(node, name, CameraInfo()) for name in CAMERAS}
    pictures = scenes(16)
    number, due = 0, time.monotonic()
    while True:
        number += 1
        now = time.time_ns()
        angle = 0.5 * np.sin(number / RATE)
        state = JointState(name=list(JOINTS), position=[angle] * len(JOINTS))
        state.header.stamp = from_nanoseconds(now)
        joints.publish(state)
        for name, publisher in cameras.items():
            if (frame := troubles[name].frame(pictures[number % 16], now)) is not None:
                publisher.publish(*frame)
        due += 1 / RATE
        while (left := due - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)


def decode() -> None:
    """Be the baseline: a node that decodes every image in full, until a signal."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('decoder')

    def take(message: CompressedImage) -> None:
        from_jpeg(message.data.tobytes()).mean()

    for topics in CAMERAS.values():
        node.subscribe(topics.compressed, take)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


@contextmanager
def running(*line: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(line)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT)


class Listener:
    """What image_health says, and a way to order faults."""

    def __init__(self) -> None:
        self._node = Node('bench')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.faults: dict[str, str] = {}
        self.seen = 0  # statuses that told a fault
        self._orders = self._node.publisher(SIM_FAULT)
        self._node.subscribe(DIAGNOSTICS, self._hear)

    def until(self, condition: Callable[[], Any], seconds: float = TIMEOUT) -> float:
        """Wait for it, and return how many seconds that took."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                sys.exit(f'it did not happen within {seconds:g} s; told: {self.faults}')
            self._executor.spin_once(timeout_sec=0.05)
        return time.monotonic() - begin

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, 2 * seconds + 1)

    def order(self, fault: CameraFault | None) -> None:
        self.until(self._orders.get_subscription_count)
        self._orders.publish(String(data=str(Order(STRUCK, fault))))

    def _hear(self, message: Any) -> None:
        for status in message.status:
            camera = status.name.removeprefix('image_health/')
            if camera != status.name:
                said = {pair.key: pair.value for pair in status.values}
                self.faults[camera] = said['faults']
                self.seen += bool(said['faults'])


def trial(listener: Listener, fault: CameraFault) -> tuple[float, float]:
    """Return the seconds until the fault is on /diagnostics, and until it is off again."""
    listener.order(fault)
    noticed = listener.until(lambda: KINDS[fault] in listener.faults[STRUCK].split(', '))
    listener.rest(1.0)
    listener.order(None)
    over = listener.until(lambda: not listener.faults[STRUCK])
    listener.rest(float(np.random.default_rng().uniform(1.2, 1.5)))
    return noticed, over


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had, all of its threads."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def share(listener: Listener, pid: int, seconds: float) -> float:
    """Return the per cent of a core that a process takes."""
    before, begin = cpu_seconds(pid), time.monotonic()
    listener.rest(seconds)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def false_alarms(minutes: float) -> int:
    """Return what is told of a sound camera by its times: jitter, losses, a busy machine."""
    random = np.random.default_rng(4711)
    pictures = [Compressed(to_jpeg(pixels)) for pixels in scenes(4)]
    health = ImageHealth(STRUCK, Poses(), 0)
    arrived, told = 0, 0
    for number in range(round(minutes * 60 * RATE)):
        captured = round(number * 1e9 / RATE + random.normal(0, 3e6))
        busy = random.random() < 0.02
        latency = random.uniform(20e6, 60e6) + (random.uniform(0, 250e6) if busy else 0.0)
        arrived = max(arrived, captured + round(latency))
        if random.random() >= 0.01:
            told += len(health.image(arrived, captured, pictures[number % 4]))
    return told


def own_cost(pictures: list[Picture]) -> float:
    """Return the per cent of a core for two cameras in a process that has the images anyway."""
    health = ImageHealth(STRUCK, Poses(), 0)
    count = 900
    begin = time.process_time()
    for number in range(count):
        now = round((number + 1) * 1e9 / RATE)
        health.image(now, now, pictures[number % len(pictures)])
    return 100 * 2 * (time.process_time() - begin) / (count / RATE)


def raw(pixels: Array) -> Raw:
    height, width = pixels.shape[:2]
    fields = {'encoding': 'rgb8', 'height': height, 'width': width, 'step': 3 * width}
    return Raw(SimpleNamespace(**fields, data=pixels.tobytes()))


def policy_does(kind: Kind) -> str:
    return 'holds' if kind.blind else 'warns'


def document(times: dict[CameraFault, tuple[list[float], list[float]]], load: float) -> None:
    """Put the table into the document, below its introduction."""
    introduction = DOCUMENT.read_text().partition(SUMMARY)[0]
    worst = max(max(noticed) for noticed, _ in times.values())
    summary = (
        f'{SUMMARY}{TRIALS} trials of each fault; the median and the longest time from the order '
        f'to /diagnostics, and back. The longest is {worst:.2f} s. Load average {load:.1f}.\n\n'
    )
    rows = ''.join(
        f'| {fault} | {KINDS[fault]} | {_times(noticed)} | {_times(over)} '
        f'| {policy_does(KINDS[fault])} | marks |\n'
        for fault, (noticed, over) in times.items()
    )
    DOCUMENT.write_text(introduction + summary + HEAD + rows)


def _times(seconds: list[float]) -> str:
    return f'{np.median(seconds):.2f}, {max(seconds):.2f} s'


def main() -> None:
    os.environ.update(environment())
    os.environ.pop('SO101_END_WITH_PARENT', None)
    rclpy.init()
    pictures = scenes(8)
    told = false_alarms(MINUTES)
    cost_raw = own_cost([raw(pixels) for pixels in pictures])
    cost_jpeg = own_cost([Compressed(to_jpeg(pixels)) for pixels in pictures])
    listener = Listener()
    times: dict[CameraFault, tuple[list[float], list[float]]] = {}
    with running(sys.executable, __file__, 'film'):
        with running(
            *runner.command(NodeSpec('so101_cameras', 'image_health', 'image_health'))
        ) as node:
            listener.until(lambda: listener.faults == dict.fromkeys(CAMERAS, ''))
            listener.rest(2.0)
            for fault in KINDS:
                found = [trial(listener, fault) for _ in range(TRIALS)]
                times[fault] = ([n for n, _ in found], [o for _, o in found])
                print(
                    f'{fault}: {_times(times[fault][0])}, over {_times(times[fault][1])}',
                    flush=True,
                )
            before = listener.seen
            cost = share(listener, node.pid, SOUND)
            live = listener.seen - before
        with running(sys.executable, __file__, 'decode') as node:
            listener.rest(2.0)
            full = share(listener, node.pid, BASELINE)
    load = os.getloadavg()[0]
    worst = max(max(noticed) for noticed, _ in times.values())
    baseline: dict[str, Any] = {'baseline_name': 'each image decoded in full', 'baseline': full}
    found_figures = [
        at_most('longest_time_to_notice', worst, 1.0, 's'),
        untargeted('longest_time_until_over', max(max(o) for _, o in times.values()), 's'),
        exactly(f'false_alarms_in_{MINUTES}_minutes_of_times', told, 0, '', required=True),
        exactly('statuses_with_a_false_alarm_live', live, 0, ''),
        at_most('image_health', cost, 10.0, '% of a core', **baseline),
        at_most('judging_in_the_policy', cost_raw, 2.0, '% of a core'),
        at_most('judging_in_the_recorder', cost_jpeg, 2.0, '% of a core'),
        untargeted('load_average', load, ''),
    ]  # fmt: skip
    figures.show('Image health', found_figures)
    figures.write(Path('build') / 'bench' / 'image_health.json', 'image_health', found_figures)
    document(times, load)
    sys.exit(bool(figures.failed(found_figures)))


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['film']:
            film()
        case ['decode']:
            decode()
        case _:
            main()
