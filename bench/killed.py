"""The inference process killed in mid-motion: how soon the arm holds, how smoothly it goes on.

`make bench NAME=killed`; a minute. The whole graph of `infer` in simulation, with the recorder; a
tiny SmolVLA whose noise is wide enough to keep the arm swinging. What is judged are the goals that
the servos were told, as the bag has them, at 30 a second as docs/chunking.md does.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from safetensors.numpy import load_file, save_file
from sensor_msgs.msg import JointState

from so101_bringup import figures
from so101_bringup.figures import at_least, at_most, untargeted
from so101_bringup.wiring import environment
from so101_node.node import Node
from so101_node.stamp import to_nanoseconds
from so101_node.topics import DIAGNOSTICS, REFERENCE
from so101_policy.untrained_smolvla import build

KILLS = 5
SWING = 4.0  # times the tremble of the tiny SmolVLA: 20 degrees/s and more in every joint
MOVING = 3.0  # s of motion before each kill
TIMEOUT = 120.0
STILL = np.deg2rad(0.5)  # rad/s, all joints together: the arm holds

Array = NDArray[np.float64]


class Watch:
    """What the policy says of itself on /diagnostics."""

    def __init__(self) -> None:
        self._node = Node('bench')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._motion = ''
        self._node.subscribe(DIAGNOSTICS, self._hear)

    def until(self, moving: bool, graph: subprocess.Popen[bytes]) -> None:
        """Wait until the arm moves, or holds."""
        deadline = time.monotonic() + TIMEOUT
        while self._motion.startswith('moving' if moving else 'holds') is False:
            if time.monotonic() > deadline or graph.poll() is not None:
                sys.exit(f'the policy does not {"move" if moving else "hold"}: {self._motion}')
            self._executor.spin_once(timeout_sec=0.1)

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.1)

    def _hear(self, message: object) -> None:
        for status in message.status:  # type: ignore[attr-defined]
            if status.name == 'policy/motion':
                self._motion = status.message


def swinging(folder: Path) -> Path:
    """Return a checkpoint that moves the arm all the time."""
    build(folder)
    for file in folder.glob('policy_*.safetensors'):
        tensors = load_file(file)
        if 'action.std' in tensors:
            save_file({**tensors, 'action.std': tensors['action.std'] * SWING}, file)
    return folder


def kill_inference(graph: subprocess.Popen[bytes]) -> int:
    """Return when its inference process was killed."""
    children = psutil.Process(graph.pid).children(recursive=True)
    (process,) = (c for c in children if 'so101_policy.inference_process' in c.cmdline())
    process.kill()
    return time.time_ns()


def run(folder: Path) -> tuple[list[int], list[int], Array, Array]:
    """Return when it was killed and was back, ns, and the goals: their times, s, and radians."""
    given = ('sim:=true', 'direct_reset:=true', 'episode_time:=600', 'on_mismatch:=warn')
    command = [
        *(sys.executable, '-m', 'so101_bringup', 'infer', *given),
        f'checkpoint:={swinging(folder / "checkpoint")}',
        f'sim_port:={folder}/arm',
        f'recordings:={folder}/recordings',
    ]
    graph = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    killed, back = [], []
    try:
        watch = Watch()
        for number in range(KILLS):
            watch.until(True, graph)
            back.append(time.time_ns())
            watch.pause(MOVING)
            killed.append(kill_inference(graph))
            watch.until(False, graph)
            print(f'killed {number + 1} of {KILLS}', flush=True)
        watch.until(True, graph)
        watch.pause(MOVING)
    finally:
        graph.send_signal(signal.SIGINT)
        graph.wait(TIMEOUT)
    (episode,) = (folder / 'recordings').glob('[!.]*')
    with Reader(episode) as reader:
        topics = [c for c in reader.connections if c.topic == f'/{REFERENCE.name}']
        goals = [deserialize_message(d, JointState) for _, _, d in reader.messages(topics)]
    times = np.array([to_nanoseconds(goal.header.stamp) for goal in goals]) * 1e-9
    return killed, back, times, np.array([goal.position for goal in goals])


def main() -> None:
    os.environ.update(environment())
    rclpy.init()
    folder = Path(tempfile.mkdtemp(prefix='so101_bench_'))
    try:
        killed, back, times, goals = run(folder)
    finally:
        shutil.rmtree(folder)
    holds, speeds = [], []
    ticks = np.arange(times[0], times[-1], 1 / 30)
    rows = np.stack([np.interp(ticks, times, joint) for joint in goals.T], axis=1)
    speed = np.linalg.norm(np.diff(rows, axis=0), axis=1) * 30
    second = np.rad2deg(np.linalg.norm(np.diff(rows, 2, axis=0), axis=1))
    for moment in killed:
        after = ticks[:-1] > moment * 1e-9
        speeds.append(float(np.rad2deg(speed[~after][-15:].max())))
        standing = ticks[:-1][after & (speed < STILL)]
        holds.append(float(standing[0] - moment * 1e-9))
    # From the first motion that was waited for, so that the way home is left out.
    driven = ticks[1:-1] > back[0] * 1e-9
    around = np.zeros_like(driven)
    for moment in killed:
        around |= np.abs(ticks[1:-1] - moment * 1e-9) < 1.0
    found = [
        at_least('kills', len(killed), KILLS, ''),
        untargeted('speed_before_lowest', min(speeds), 'deg/s'),
        at_most('kill_to_hold_longest', max(holds), 0.5, 's', required=True),
        at_most(
            'largest_second_difference_around_kills', float(second[driven & around].max()), 3.0,
            'deg', baseline=float(second[driven & ~around].max()),
            baseline_name='the rest of the motion',
        ),
        at_most(
            'largest_second_difference_anywhere', float(second[driven].max()), 3.0, 'deg'
        ),
    ]  # fmt: skip
    figures.show('The inference process killed in mid-motion', found)
    figures.write(Path('build') / 'bench' / 'killed.json', 'killed', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
