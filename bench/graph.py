"""The running graph of `infer`: from an image to the servos' goal, and the processors' time.

`make bench NAME=graph`; two minutes. First on a desk: emulated servos without physics and two
cameras that show nearly one picture, so that neither physics nor rendering delay an image; the
moment of a goal is the one when the servos receive it. Then the whole simulation.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, JointState

from so101_bringup import figures, runner
from so101_bringup.figures import at_most, exactly, untargeted
from so101_bringup.graphs import INFER
from so101_bringup.wiring import NodeSpec, environment
from so101_cameras.publisher import CameraPublisher
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_driver.packet import Decoder, Instruction
from so101_driver.registers import GOAL_POSITION
from so101_episodes.episode import Episode
from so101_node.node import Node
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS, REFERENCE
from so101_policy import policy_node
from so101_policy.inference import Chunk, Inference
from so101_policy.untrained_smolvla import build
from so101_sim.guided_arm import GuidedArm
from so101_sim.serial_device import SerialDevice

SECONDS = 30.0
SETTLING = 3.0  # of motion, before anything is counted
RATE = 30.0  # of the cameras
TIMEOUT = 120.0

# Neither belongs to the suite's own time: the model, and what stands for arm and cameras.
MODEL = 'inference'
STAND_INS = ('arm', 'wrist', 'overhead', 'sim_world', 'sim_cameras')

Array = NDArray[np.float64]


class Still:
    """The motion of an arm that nobody touches."""

    def __init__(self, calibration: Calibration) -> None:
        self._middle = (calibration.lower + calibration.upper) / 2

    def take(self, joints: NDArray[np.bool_], angles: Array, seconds: float) -> None:
        """Nothing: a joint that is let go of is where it was."""

    def pose(self, seconds: float) -> Array:
        return self._middle


def arm(folder: Path, calibration_path: str) -> None:
    """Be the servos until a signal; then write when goals came, and which not from a cycle.

    The driver reads before it writes, except when a trajectory came: then it writes at once.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in every thread: it is waited for
    calibration = load(calibration_path)
    servos = GuidedArm(calibration, Still(calibration), time.monotonic_ns())
    decoder = Decoder()
    goals: list[tuple[int, bool]] = []
    read = False

    def answer(data: bytes) -> bytes:
        nonlocal read
        for packet in decoder.feed(data):
            if packet.code == Instruction.SYNC_READ:
                read = True
            elif packet.code == Instruction.SYNC_WRITE and _has_goals(packet.params):
                goals.append((time.time_ns(), not read))
                read = False
        return servos.receive(data, time.monotonic_ns())

    sys.setswitchinterval(0.0005)
    device = SerialDevice(folder / 'arm', answer)
    signal.sigwait({signal.SIGTERM})
    device.close()
    np.save(folder / 'goals.npy', np.array(goals, dtype=np.int64))


def _has_goals(params: bytes) -> bool:
    return params[0] == GOAL_POSITION.address


def camera(name: str) -> None:
    """Publish one camera's images until a signal, captured when the other one's are."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    publisher = CameraPublisher(Node(f'{name}_camera'), name, CameraInfo())
    rows, columns = np.mgrid[:480, :640]
    pixels = np.stack((rows // 2, columns // 3, (rows + columns) % 256), axis=2).astype(np.uint8)
    while True:
        frame = int(time.time() * RATE) + 1
        captured = round(frame / RATE * 1e9)
        time.sleep(max(0.0, captured * 1e-9 - time.time()))
        pixels[0, :, 0] = frame % 256  # the same one while the arm moves is called frozen
        publisher.publish(pixels, captured)


class Noted(Inference):
    """The inference as it is, and a note of each chunk: its capture, its arrival, its seconds."""

    notes: ClassVar[list[tuple[int, int, int]]] = []
    _captured = 0

    def ask(self, observation: Any, *rest: Any) -> None:
        self._captured = observation.captured
        super().ask(observation, *rest)

    def poll(self) -> Any:
        answer = super().poll()
        if isinstance(answer, Chunk):
            self.notes.append((self._captured, time.time_ns(), round(answer.seconds * 1e9)))
        return answer


def policy(folder: Path) -> None:
    """Be the policy node; then write the notes."""
    setattr(policy_node, 'Inference', Noted)  # noqa: B010
    try:
        policy_node.main()
    finally:
        np.save(folder / 'chunks.npy', np.array(Noted.notes, dtype=np.int64))


class Health:
    """The last value of everything on /diagnostics, as 'policy/motion/held'."""

    def __init__(self) -> None:
        self._node = Node('bench')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.values: dict[str, str] = {}
        self._node.subscribe(DIAGNOSTICS, self._hear)

    def until(self, condition: Callable[[], Any], seconds: float = TIMEOUT) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f'it did not happen within {seconds:g} s')
            self._executor.spin_once(timeout_sec=0.1)

    def number(self, name: str) -> float:
        return float(self.values.get(name, 'nan'))

    def _hear(self, message: Any) -> None:
        for status in message.status:
            self.values[status.name] = status.message
            for pair in status.values:
                self.values[f'{status.name}/{pair.key}'] = pair.value


@dataclass(frozen=True)
class Run:
    """`begin` and `end` of what is measured, ns; % of a core by process; the recorded episode."""

    begin: int
    end: int
    loads: Mapping[str, float]
    health: Mapping[str, str]
    starved: float  # seconds
    episode: Episode
    references: Array  # seconds when the driver says that it wrote goals


Program = tuple[str, list[str]]  # a name, and its command line


def measure(programs: list[Program], recordings: Path) -> Run:
    """Run the graph; the last program starts the policy's motion and must be a rollout."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    health = Health()
    health.values.clear()
    with _ending(processes):
        for name, line in programs:
            processes[name] = subprocess.Popen(line, stdout=subprocess.DEVNULL)

        def follows(chunks: int) -> bool:
            if any(process.poll() is not None for process in processes.values()):
                sys.exit('a node has ended; its last line says why')
            return health.values.get('policy/motion') == 'moving' and (
                health.number('policy/inference/chunks') >= chunks
            )

        health.until(lambda: follows(1))
        _wait(health, SETTLING)
        starved = health.number('policy/motion/starved_seconds')
        before, begin = _processor_seconds(processes), time.time_ns()
        _wait(health, SECONDS)
        after, end = _processor_seconds(processes), time.time_ns()
        if not follows(1):
            sys.exit(f'the arm no longer moves: {health.values.get("policy/motion")}')
        starved = health.number('policy/motion/starved_seconds') - starved
    loads = {
        name: 100 * (used - before[name]) / ((end - begin) * 1e-9) for name, used in after.items()
    }
    folder = next(recordings.glob('[!.]*'))
    written = _references(folder)
    within = (written > begin * 1e-9) & (written < end * 1e-9)
    return Run(begin, end, loads, health.values, starved, Episode.load(folder), written[within])


def _wait(health: Health, seconds: float) -> None:
    end = time.monotonic() + seconds
    health.until(lambda: time.monotonic() > end, 2 * seconds)


@contextmanager
def _ending(processes: dict[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """End them in the reverse order of their start: the driver before the arm that it holds."""
    try:
        yield
    finally:
        for process in reversed(processes.values()):
            process.terminate()
            process.wait(TIMEOUT)


def _processor_seconds(processes: Mapping[str, subprocess.Popen[bytes]]) -> dict[str, float]:
    """Return what each process used until now; those that a node starts under their own names."""
    children = {'policy': MODEL, 'driver': 'guard'}
    found: dict[str, float] = {}
    for name, process in processes.items():
        parent = psutil.Process(process.pid)
        found[name] = _seconds(parent)
        for child in parent.children(recursive=True):
            found[children[name]] = found.get(children[name], 0.0) + _seconds(child)
    return found


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _references(folder: Path) -> Array:
    with Reader(folder) as reader:
        topics = [c for c in reader.connections if c.topic == f'/{REFERENCE.name}']
        stamps = [
            to_nanoseconds(deserialize_message(data, JointState).header.stamp) * 1e-9
            for _, _, data in reader.messages(topics)
        ]
    return np.array(stamps)


def nodes(folder: Path) -> list[NodeSpec]:
    """Return the nodes of `so101 infer sim:=true`."""
    given = {
        'sim': 'true',
        'sim_port': str(folder / 'arm'),
        'checkpoint': str(folder.parent / 'checkpoint'),
        'recordings': str(folder / 'recordings'),
        'episode_time': '600',
        'direct_reset': 'true',
        'on_mismatch': 'warn',
    }
    return INFER.nodes(INFER.values(given))


def desk(folder: Path) -> Run:
    """Measure without physics and rendering."""
    folder.mkdir()
    this = [sys.executable, __file__]
    programs: list[Program] = [(name, [*this, 'camera', name]) for name in CAMERAS]
    for spec in nodes(folder):
        match spec.name:
            case 'sim_world':
                calibration = str(spec.parameters['calibration'])
                programs.append(('arm', [*this, 'arm', str(folder), calibration]))
            case 'sim_cameras':
                pass
            case 'policy':
                line = runner.command(spec)[1:]
                programs.append(('policy', [*this, 'policy', str(folder), *line]))
            case 'session':
                real = replace(spec, parameters={**spec.parameters, 'sim': False})
                programs.append((spec.name, runner.command(real)))
            case _:
                programs.append((spec.name, runner.command(spec)))
    return measure(programs, folder / 'recordings')


def simulation(folder: Path) -> Run:
    """Measure in simulation."""
    folder.mkdir()
    programs = [(spec.name, runner.command(spec)) for spec in nodes(folder)]
    return measure(programs, folder / 'recordings')


def periods(run: Run, folder: Path) -> Array:
    """Return the ms from goal to goal, at the servos."""
    times = np.load(folder / 'goals.npy')[:, 0]
    return np.diff(times[(times > run.begin) & (times < run.end)]) * 1e-6


def delays(run: Run, folder: Path) -> tuple[Array, Array]:
    """Return for each chunk the ms from its images' capture to its first goal at the servos, less
    those of its inference, and the ms of its inference.
    """
    goals = np.load(folder / 'goals.npy')
    first = goals[goals[:, 1] == 1, 0]  # of a trajectory
    chunks = np.load(folder / 'chunks.npy')
    within = chunks[(chunks[:, 1] > run.begin) & (chunks[:, 1] < run.end - 1_000_000_000)]
    captured, arrived, inference = within.T
    followed = first[np.searchsorted(first, arrived)]
    return (followed - captured - inference) * 1e-6, inference * 1e-6


def own(run: Run) -> float:
    """Return the % of a core of everything but the model and what stands for arm and cameras."""
    return sum(load for name, load in run.loads.items() if name not in (MODEL, *STAND_INS))


def lost(run: Run) -> int:
    """Return how many recorded messages and messages to the policy did not arrive."""
    recorded = sum(topic.lost or 0 for topic in run.episode.topics.values())
    return recorded + sum(
        int(value)
        for name, value in run.health.items()
        if name.startswith('policy/observation/') and name.endswith('_lost')
    )


def percentile(values: Array, q: float) -> float:
    return float(np.percentile(values, q))


def desk_figures(run: Run, folder: Path) -> list[figures.Figure]:
    delay, inference = delays(run, folder)
    return [
        *period_figures('goal', periods(run, folder)),
        untargeted('capture_to_goal_less_inference_p50', percentile(delay, 50), 'ms'),
        at_most('capture_to_goal_less_inference_p95', percentile(delay, 95), 10.0, 'ms'),
        untargeted('inference_p50', percentile(inference, 50), 'ms'),
        untargeted('inference_p95', percentile(inference, 95), 'ms'),
        *common_figures(run),
    ]


def simulation_figures(run: Run) -> list[figures.Figure]:
    period = np.diff(run.references) * 1e3
    return [*period_figures('reference', period), *common_figures(run)]


def period_figures(what: str, period: Array) -> list[figures.Figure]:
    return [
        untargeted(f'{what}_period_p{q:g}', percentile(period, q), 'ms') for q in (50, 99, 99.9)
    ]


def common_figures(run: Run) -> list[figures.Figure]:
    loads = sorted(run.loads.items(), key=lambda item: -item[1])
    return [
        untargeted('seconds_without_actions', run.starved, 's'),
        exactly('messages_lost', lost(run), 0, ''),
        at_most('processor', own(run), 60.0, '%'),
        *(untargeted(f'processor_{name}', load, '%') for name, load in loads),
    ]


def main() -> None:
    os.environ.update(environment())
    rclpy.init()
    folder = Path(tempfile.mkdtemp(prefix='so101_bench_'))
    try:
        build(folder / 'checkpoint')
        print(f'{SECONDS:g} s on the desk ...', flush=True)
        run = desk(folder / 'desk')
        print(f'{SECONDS:g} s in simulation ...', flush=True)
        simulated = simulation(folder / 'simulation')
        found = desk_figures(run, folder / 'desk')
        more = simulation_figures(simulated)
    finally:
        shutil.rmtree(folder)
    figures.show('The graph on a desk: two cameras, the recorder, no physics', found)
    figures.show('The graph in simulation', more)
    named = [replace(figure, name=f'simulation_{figure.name}') for figure in more]
    figures.write(Path('build') / 'bench' / 'graph.json', 'graph', [*found, *named])
    sys.exit(bool(figures.failed([*found, *named])))


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['arm', folder, calibration]:
            arm(Path(folder), calibration)
        case ['camera', name]:
            camera(name)
        case ['policy', folder, *_]:
            policy(Path(folder))
        case _:
            main()
