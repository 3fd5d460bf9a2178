"""The simulated leader: a hand moves it while it is limp, its servos while they are not."""

import math
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState

from so101_description.joints import HOME
from so101_description.workspace import SQUARE_CENTRE
from so101_driver.bus import Bus, BusError
from so101_driver.calibration import Calibration
from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_driver.registers import GOAL_POSITION, PRESENT_POSITION, TORQUE_ENABLE
from so101_driver.serial_port import SerialPort
from so101_node.topics import DIAGNOSTICS, SIM_STATE
from so101_sim import scene
from so101_sim.demonstrator import Demonstrator
from so101_sim.expert import demonstration, straight
from so101_sim.guided_arm import GuidedArm
from so101_sim.hand import Hand, Waves

SECOND = 1_000_000_000
IDS = range(1, 7)


class Host:
    """What a driver would ask of the arm, at chosen times."""

    def __init__(self, calibration: Calibration, hand: Hand) -> None:
        self.hand = hand
        self.now = 0
        self._calibration = calibration
        self._arm = GuidedArm(calibration, self.hand, 0)

    def angles(self) -> np.ndarray:
        request = bytes((PRESENT_POSITION.address, PRESENT_POSITION.size, *IDS))
        replies = self._ask(BROADCAST, Instruction.SYNC_READ, request)
        ticks = [PRESENT_POSITION.decode(reply.params) for reply in replies]
        return self._calibration.radians(np.array(ticks))

    def torque(self, on: bool) -> None:
        for servo in IDS:
            self._ask(servo, Instruction.WRITE, bytes((TORQUE_ENABLE.address, on)))

    def send(self, angles: np.ndarray) -> None:
        goals = zip(IDS, self._calibration.ticks(angles), strict=True)
        data = b''.join(bytes((servo,)) + GOAL_POSITION.encode(goal) for servo, goal in goals)
        params = bytes((GOAL_POSITION.address, GOAL_POSITION.size)) + data
        self._ask(BROADCAST, Instruction.SYNC_WRITE, params)

    def wait(self, seconds: float) -> None:
        """Ask 200 times a second."""
        for _ in range(round(seconds * 200)):
            self.now += SECOND // 200
            self.angles()

    def _ask(self, servo: int, instruction: Instruction, params: bytes) -> list[Packet]:
        data = self._arm.receive(encode(Packet(servo, instruction, params)), self.now)
        return Decoder().feed(data)


@pytest.mark.parametrize('seed', range(5))
def test_the_hand_moves_all_joints_smoothly_inside_their_limits(
    calibration: Calibration, seed: int
) -> None:
    hand = Waves(seed)
    poses = np.array([hand.pose(seconds) for seconds in np.arange(0, 120, 0.02)])
    assert (poses > calibration.lower).all()
    assert (poses < calibration.upper).all()
    assert (np.ptp(poses, axis=0) > 0.2).all()
    assert np.abs(np.diff(poses, axis=0)).max() < 1.0 * 0.02  # 1 rad/s
    assert (poses == [Waves(seed).pose(s) for s in np.arange(0, 120, 0.02)]).all()


def test_limp_it_is_where_the_hand_is(calibration: Calibration) -> None:
    host = Host(calibration, Waves(0))
    for seconds in (0.0, 0.005, 1.0, 60.0):
        host.now = round(seconds * SECOND)
        assert host.angles() == pytest.approx(host.hand.pose(seconds), abs=0.002)


def test_with_torque_it_goes_to_its_goals_and_limp_again_back_into_the_hand(
    calibration: Calibration,
) -> None:
    host = Host(calibration, Waves(0))
    held = host.angles()
    host.send(held)
    host.torque(True)
    host.wait(2.0)
    assert host.angles() == pytest.approx(held, abs=0.003)
    goal = held + np.where(held > (calibration.lower + calibration.upper) / 2, -0.5, 0.5)
    host.send(goal)
    host.wait(0.5)
    assert host.angles() == pytest.approx(goal, abs=0.003)
    host.torque(False)
    path = []
    for _ in range(600):
        path.append(host.angles())
        host.wait(0.005)
    assert host.angles() == pytest.approx(host.hand.pose(host.now / SECOND), abs=0.003)
    speeds = np.diff(path, axis=0) / 0.005  # a tick is 0.3 rad/s
    assert np.abs(speeds[:10]).max() < 0.7  # it is not snatched
    assert np.abs(speeds).max() < 2.0


def test_a_demonstrator_keeps_what_it_takes_where_it_is_follows_its_way_and_carries_it_back(
    calibration: Calibration,
) -> None:
    hand = Demonstrator(HOME)
    host = Host(calibration, hand)
    host.wait(1.0)
    assert host.angles() == pytest.approx(HOME, abs=0.002)
    held = HOME + np.array([0.1, 0.2, -0.2, 0.1, 0.1, 0.1])
    host.send(held)
    host.torque(True)
    host.wait(1.0)
    host.torque(False)
    host.wait(1.0)
    assert host.angles() == pytest.approx(held, abs=0.004)
    start = hand.pose(host.now / SECOND)
    way = demonstration(start, SQUARE_CENTRE, 0.3, 1)
    begin = host.now / SECOND + 0.3
    hand.follow(way, begin)
    while host.now / SECOND < begin + way.seconds:
        host.wait(0.01)
        expected = way.pose(host.now / SECOND - begin)
        assert host.angles() == pytest.approx(expected, abs=0.002)
    host.wait(1.0)
    assert host.angles() == pytest.approx(way.poses[-1], abs=0.002)
    hand.go_back(host.now / SECOND)
    path = [host.angles()]
    for _ in range(400):
        host.wait(0.01)
        path.append(host.angles())
    assert path[-1] == pytest.approx(start, abs=0.002)
    assert np.abs(np.diff(path, axis=0)).max() < 2.4 * 0.01  # 2 rad/s, and a tick


def test_a_demonstrator_that_is_interrupted_keeps_hold(calibration: Calibration) -> None:
    hand = Demonstrator(HOME)
    host = Host(calibration, hand)
    hand.follow(straight(HOME, HOME + 0.5), 0.0)
    host.wait(0.2)
    host.send(host.angles())
    host.torque(True)
    host.wait(0.5)
    stopped = host.angles()
    host.torque(False)
    host.wait(1.0)
    assert host.angles() == pytest.approx(stopped, abs=0.004)


@pytest.mark.parametrize('seed', range(3))
def test_an_arm_led_by_the_hand_from_home_on_meets_neither_table_nor_bowl_nor_itself(
    model: mujoco.MjModel, seed: int
) -> None:
    shapes: dict[str, list[int]] = defaultdict(list)
    for shape in range(model.ngeom):
        if model.geom_contype[shape]:
            shapes[model.body(model.geom_bodyid[shape]).name].append(shape)
    led = [s for name in ('lower_arm', 'wrist', 'gripper') for s in shapes[name]]
    met = [model.geom('table').id, *shapes['bowl']]
    data = mujoco.MjData(model)
    hand = Waves(seed)
    for seconds in range(0, 120, 2):
        for share in (0.1, 0.4, 0.7, 1.0):
            data.qpos[:9] = [*(HOME + share * (hand.pose(seconds) - HOME)), 5.0, 5.0, 5.0]
            mujoco.mj_forward(model, data)
            assert data.ncon == 0
            near = [
                mujoco.mj_geomDistance(model, data, a, b, 0.05, None) for a in led for b in met
            ]
            assert min(near) > 0.03


def start(*parameters: str) -> 'subprocess.Popen[str]':
    line = [sys.executable, '-m', 'so101_sim.leader_node', '--ros-args']
    for parameter in parameters:
        line += ['-p', parameter]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


def answers(port: Path) -> bool:
    """Return whether all servos answer at once, on a machine that may be busy for some tries."""
    serial = SerialPort(str(port))
    bus = Bus(serial)
    try:
        for _ in range(100):
            try:
                return len(bus.sync_read(list(IDS), PRESENT_POSITION.address, 2)) == len(IDS)
            except BusError:
                continue
        return False
    finally:
        serial.close()


def test_the_node_is_an_arm_at_a_port_until_a_signal(
    tmp_path: Path, calibration_path: Path
) -> None:
    port = tmp_path / 'leader'
    process = start(f'port:={port}', f'calibration:={calibration_path}')
    try:
        while not port.exists():
            assert process.poll() is None
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        assert answers(port)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ''
        assert process.returncode == 0
        assert not port.is_symlink()
    finally:
        process.kill()
        process.communicate()


class Session:
    """What the expert hears: how far a session is, and where the cube lies."""

    def __init__(self, graph: Any) -> None:
        self._progress = graph.node.publisher(DIAGNOSTICS)
        self._state = graph.node.publisher(SIM_STATE)
        graph.wait_for(
            lambda: all(p.get_subscription_count() for p in (self._progress, self._state)),
            'leader that listens',
        )

    def place(self, x: float, y: float, yaw: float) -> None:
        cube = [x, y, scene.CUBE_SIZE / 2, math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
        message = JointState(name=scene.coordinate_names(), position=[*HOME, *cube])
        self._state.publish(message)

    def say(self, state: str, number: int) -> None:
        values = [KeyValue(key='state', value=state), KeyValue(key='number', value=str(number))]
        status = DiagnosticStatus(name='session/progress', values=values)
        self._progress.publish(DiagnosticArray(status=[status]))


def test_the_expert_demonstrates_while_an_episode_runs_and_carries_the_arm_back(
    tmp_path: Path, calibration_path: Path, calibration: Calibration, graph: Any
) -> None:
    port = tmp_path / 'leader'
    home = HOME + 0.1
    process = graph.start(
        'so101_sim.leader_node',
        port=port,
        calibration=calibration_path,
        hand='expert',
        seed=3,
        home=[float(angle) for angle in home],
    )
    graph.wait_for(port.exists, 'port')
    serial = SerialPort(str(port))
    bus = Bus(serial)

    def angles() -> np.ndarray:
        while True:
            try:
                data = bus.sync_read(list(IDS), PRESENT_POSITION.address, 2)
            except BusError:
                continue  # a machine that was busy
            return calibration.radians(np.array([PRESENT_POSITION.decode(one) for one in data]))

    def is_at(pose: np.ndarray) -> bool:
        return bool(np.abs(angles() - pose).max() < 0.003)

    session = Session(graph)
    # Without a world there is nothing to be done, and the arm stays.
    session.say('running', 1)
    graph.wait_for(lambda: 'episode 1 is not demonstrated' in process.stderr.readline(), 'error')
    session.say('homing', 1)
    session.place(0.25, 0.03, yaw=1.0)
    session.say('ready', 2)
    assert is_at(home)
    session.say('running', 2)
    way = demonstration(home, (0.25, 0.03), 1.0, (3 << 31) + 2)
    graph.wait_for(lambda: is_at(way.poses[-1]), 'end of the demonstration')
    session.say('running', 2)  # it says so once a second
    assert is_at(way.poses[-1])
    session.say('homing', 2)
    graph.wait_for(lambda: is_at(home), 'arm at home')
    serial.close()


@pytest.mark.parametrize(
    ('parameters', 'text'),
    [
        ([], 'parameter port'),
        (['port:=/tmp/leader'], 'parameter calibration'),
        (['port:=/tmp/leader', 'calibration:=x', 'hand:=third'], 'parameter hand'),
        (['port:=/tmp/leader', 'calibration:=x', 'hand:=expert', 'home:=[0.0]'], 'parameter home'),
    ],
)
def test_a_missing_parameter_is_one_clear_line(parameters: list[str], text: str) -> None:
    process = start(*parameters)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert text in error
    assert len(error.strip().splitlines()) == 1
