"""The guided calibration: a scripted person moves emulated servos by hand."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from rich.console import Console, RenderableType

from so101_description.joints import JOINTS
from so101_driver import eprom
from so101_driver.bus import Bus
from so101_driver.calibrate import CalibrationSession
from so101_driver.calibration import JointCalibration
from so101_driver.calibration_file import load
from so101_driver.registers import (
    HOMING_OFFSET,
    LOCK,
    MAX_POSITION,
    MAX_TORQUE,
    MIN_POSITION,
    MODEL,
    P_GAIN,
    PRESENT_POSITION,
    TORQUE_ENABLE,
)
from so101_driver.serial_port import SerialPort
from so101_driver.terminal import Terminal
from so101_node.error import UserError

if TYPE_CHECKING:
    from conftest import FakeBus

TURN = 4096
NOW = datetime(2026, 1, 31, 14, 5, 59)

# Encoder steps: where the arm stands at first, and how far each joint goes from there.
MIDDLE = (500, 1000, 4000, 2000, 3000, 100)
ENDS = ((-1300, 1200), (-1100, 1300), (-1000, 1200), (-1200, 900), (-1800, 2000), (-700, 550))

Moves = Sequence[tuple[int, int]]


class Person(Terminal):
    """Answers questions (a part of each, and the answer), and moves the joints while watching."""

    def __init__(
        self, bus: FakeBus, *answers: tuple[str, str], moves: Sequence[Moves] = ()
    ) -> None:
        self.said = ''
        self.answers = list(answers)
        self.moves = list(moves)
        self.stride = 400  # encoder steps between two pictures
        self._bus = bus

    def say(self, text: RenderableType = '') -> None:
        out = io.StringIO()
        Console(file=out, width=200).print(text)
        self.said += out.getvalue()

    def ask(self, text: str) -> str:
        part, answer = self.answers.pop(0)
        assert part in text
        self.stand(MIDDLE)
        self.said += f'{text} {answer}\n'
        if answer == '^C':
            raise KeyboardInterrupt
        return answer

    def watch(self, look: Callable[[], None], picture: Callable[[], RenderableType]) -> None:
        for index, ends in enumerate(self.moves.pop(0)):
            for start, end in ((0, ends[0]), ends, (ends[1], 0)):
                count = abs(end - start) // self.stride + 1
                for step in range(1, count + 1):
                    place = start + (end - start) * step // count
                    self.stand([at + place * (i == index) for i, at in enumerate(MIDDLE)])
                    look()
        self.say(picture())

    def stand(self, encoders: Sequence[int]) -> None:
        for servo, encoder in enumerate(encoders, 1):
            position = (encoder - self._bus.get(servo, HOMING_OFFSET)) % TURN
            self._bus.set(servo, PRESENT_POSITION, position)


NEW = (
    ('Hold the arm', ''),
    ('about the middle', ''),
    ('save this', ''),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'arms' / 'my_arm.json'


@pytest.fixture
def bus(servo_bus: FakeBus, serial_port: SerialPort) -> Iterator[Bus]:
    new_from_the_factory(servo_bus)
    yield Bus(serial_port)
    assert servo_bus.goals_while_limp == 0


def new_from_the_factory(servo_bus: FakeBus) -> None:
    for servo in servo_bus.tables:
        for register, value in ((P_GAIN, 32), (MAX_TORQUE, 1000)):
            servo_bus.set(servo, register, value)
        servo_bus.set(servo, TORQUE_ENABLE, 1)


def session(bus: Bus, person: Person, path: Path) -> CalibrationSession:
    return CalibrationSession(bus, person, str(path), 'follower')


def eprom_writes(bus: FakeBus) -> list[tuple[int, int]]:
    ram = (TORQUE_ENABLE.address, LOCK.address)
    return [(servo, address) for servo, address in bus.writes if address not in ram]


def test_a_new_arm_gets_its_file_and_its_motors_hold_it(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    person = Person(servo_bus, *NEW, moves=[ENDS])
    talk = session(bus, person, path)
    talk.run(NOW)
    joints = load(path).joints
    # LeRobot's offset, which makes the first pose 2047, as a number that the register holds.
    assert joints[0] == JointCalibration(1, 0, 500 - 2047, 2047 - 1300, 2047 + 1200)
    assert joints[2] == JointCalibration(3, 0, 4000 - 2047, 2047 - 1000, 2047 + 1200)
    # The wrist's own range, not the whole turn.
    # From 247 to 4047 with LeRobot's offset, which is too near to the seam.
    assert joints[4] == JointCalibration(5, 0, 3100 - 2047, 147, 3947)
    for joint in joints:
        assert servo_bus.get(joint.id, HOMING_OFFSET) == joint.homing_offset
        assert servo_bus.get(joint.id, MIN_POSITION) == joint.range_min
        assert servo_bus.get(joint.id, MAX_POSITION) == joint.range_max
        assert servo_bus.get(joint.id, LOCK) == 1
    assert servo_bus.get(1, P_GAIN) == 16
    assert servo_bus.torque() == [0] * 6
    assert 'verified' in person.said
    assert talk.state == 'The arm is calibrated, its motors hold the file.'


def test_a_range_that_crosses_position_0_gets_another_offset(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    """The shoulder stood at its end, not in the middle."""
    person = Person(servo_bus, *NEW, moves=[[(-2300, 100), *ENDS[1:]]])
    session(bus, person, path).run(NOW)
    pan = load(path).joints[0]
    assert pan.range_max - pan.range_min == 2400
    for encoder, position in ((500 - 2300, pan.range_min), (500 + 100, pan.range_max)):
        assert (encoder - pan.homing_offset) % TURN == position


def test_a_joint_that_was_forgotten_is_named_until_it_is_moved(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    still: Moves = [(0, 0)] * 6
    person = Person(
        servo_bus,
        *NEW,
        moves=[[ENDS[0], (-100, 100), *ENDS[2:5], (0, 0)], still, [(0, 0), ENDS[1], *ENDS[2:]]],
    )
    session(bus, person, path).run(NOW)
    assert person.said.count('Not yet: shoulder_lift moved 18 degrees (usual 200), gripper') == 2
    assert load(path).joints[1].range_max == 2047 + 1300


def test_a_short_range_is_taken_when_the_person_says_so(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    short = [*ENDS[:5], (-300, 300)]
    person = Person(
        servo_bus,
        *NEW[:2],
        ('type y', ''),
        ('type y', 'y'),
        NEW[2],
        moves=[short, short],
    )
    session(bus, person, path).run(NOW)
    assert 'Less than usual: gripper moved 53 degrees (usual 110)' in person.said
    assert load(path).joints[5].range_max == 2047 + 300


def test_a_wrist_that_turned_all_round_has_the_whole_turn(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    person = Person(servo_bus, *NEW, moves=[[*ENDS[:4], (-2200, 2200), ENDS[5]]])
    session(bus, person, path).run(NOW)
    assert (load(path).joints[4].range_min, load(path).joints[4].range_max) == (0, 4095)


@pytest.mark.parametrize(
    ('ends', 'stride', 'message'),
    [
        ((-1800, 1800), 400, r'elbow_flex moved 316 degrees \(usual 194\): more than the arm can'),
        ((-1000, 1200), 5000, 'elbow_flex.* moved too fast to be followed'),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    bus: Bus, servo_bus: FakeBus, path: Path, ends: tuple[int, int], stride: int, message: str
) -> None:
    person = Person(servo_bus, *NEW[:2], moves=[[*ENDS[:2], ends, *ENDS[3:]]])
    person.stride = stride
    talk = session(bus, person, path)
    with pytest.raises(UserError, match=message):
        talk.run(NOW)
    assert talk.state == 'Nothing was written. Torque is off: the arm is limp.'
    assert not path.exists()
    assert eprom_writes(servo_bus) == []


@pytest.mark.parametrize('question', range(len(NEW)))
def test_ctrl_c_at_any_question_leaves_all_as_it_was(
    bus: Bus, servo_bus: FakeBus, path: Path, question: int
) -> None:
    before = {servo: bytes(table[:40]) for servo, table in servo_bus.tables.items()}
    answers = [*NEW[:question], (NEW[question][0], '^C')]
    talk = session(bus, Person(servo_bus, *answers, moves=[ENDS]), path)
    with pytest.raises(KeyboardInterrupt):
        talk.run(NOW)
    assert {servo: bytes(table[:40]) for servo, table in servo_bus.tables.items()} == before
    assert not path.parent.exists()
    assert servo_bus.torque() == [question == 0] * 6
    assert talk.state == (
        'Nothing was changed.'
        if question == 0
        else 'Nothing was written. Torque is off: the arm is limp.'
    )


def test_ctrl_c_while_saving_waits_until_file_and_motors_are_written(
    bus: Bus, servo_bus: FakeBus, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = eprom.write

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(eprom, 'write', interrupted)
    talk = session(bus, Person(servo_bus, *NEW, moves=[ENDS]), path)
    with pytest.raises(KeyboardInterrupt):
        talk.run(NOW)
    assert talk.state == 'The arm is calibrated, its motors hold the file.'
    assert servo_bus.get(1, HOMING_OFFSET) == load(path).joints[0].homing_offset


@pytest.fixture
def present(path: Path, calibration_path: Path) -> Path:
    path.parent.mkdir()
    path.write_bytes(calibration_path.read_bytes())
    return path


def test_a_calibrated_arm_is_left_as_it_is(bus: Bus, servo_bus: FakeBus, present: Path) -> None:
    first = Person(servo_bus, ('write the file to the motors', ''))
    session(bus, first, present).run(NOW)  # LeRobot's settings were missing
    assert 'gripper maximum torque is 1000, not 500' in first.said
    servo_bus.writes.clear()
    second = Person(servo_bus, ('leave it so', ''))
    session(bus, second, present).run(NOW)
    assert 'Its motors hold the same.' in second.said
    assert servo_bus.writes == []
    assert [file.name for file in present.parent.iterdir()] == ['my_arm.json']


def test_an_arm_with_other_values_gets_those_of_its_file(
    bus: Bus, servo_bus: FakeBus, present: Path
) -> None:
    servo_bus.set(3, HOMING_OFFSET, 77)
    person = Person(servo_bus, ('write the file', 'what?'), ('write the file', ''))
    session(bus, person, present).run(NOW)
    assert 'elbow_flex homing offset is 77, not 0' in person.said
    assert servo_bus.get(3, HOMING_OFFSET) == 0
    assert servo_bus.torque() == [0] * 6


def test_a_calibrated_arm_is_calibrated_anew_when_asked_for(
    bus: Bus, servo_bus: FakeBus, present: Path
) -> None:
    earlier = present.read_bytes()
    person = Person(servo_bus, ('write the file', 'c'), *NEW, moves=[ENDS])
    session(bus, person, present).run(NOW)
    assert '-1547 (was -20)' in person.said
    assert '747 to 3247 (was 1000 to 3000)' in person.said
    kept = present.with_name('my_arm.json.2026-01-31_14-05-59.bak')
    assert kept.read_bytes() == earlier
    assert load(present).joints[0].range_min == 747


def test_a_file_that_is_no_calibration_is_replaced_and_kept(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    path.parent.mkdir()
    path.write_text('{}')
    person = Person(servo_bus, *NEW, moves=[ENDS])
    session(bus, person, path).run(NOW)
    assert f'The present file cannot be used. calibration {path}: the file lacks' in person.said
    assert path.with_name('my_arm.json.2026-01-31_14-05-59.bak').read_text() == '{}'
    assert len(load(path).joints) == len(JOINTS)


def test_silent_and_foreign_motors_are_named(bus: Bus, servo_bus: FakeBus, path: Path) -> None:
    servo_bus.set(2, MODEL, 1029)
    with pytest.raises(UserError, match='shoulder_lift has model number 1029'):
        session(bus, Person(servo_bus), path).run(NOW)
    servo_bus.silent = {4, 6}
    with pytest.raises(UserError, match=r'no answer from wrist_flex \(id 4\), gripper \(id 6\)'):
        session(bus, Person(servo_bus), path).run(NOW)
    assert servo_bus.writes == []


def test_a_bus_that_falls_silent_while_watching_ends_it(
    bus: Bus, servo_bus: FakeBus, path: Path
) -> None:
    class Unlucky(Person):
        def watch(self, look: Callable[[], None], _: Callable[[], RenderableType]) -> None:
            servo_bus.silent = {5}
            while True:
                look()

    talk = session(bus, Unlucky(servo_bus, *NEW[:2]), path)
    with pytest.raises(UserError, match=r'no answer from servo .*5.*begin again'):
        talk.run(NOW)


def test_a_leaders_file_is_in_its_place_and_its_motors_get_a_leaders_settings(
    bus: Bus, servo_bus: FakeBus, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HF_LEROBOT_CALIBRATION', str(path.parent))
    person = Person(servo_bus, *NEW, moves=[ENDS])
    CalibrationSession(bus, person, 'hand', 'leader').run(NOW)
    assert load(path.parent / 'teleoperators' / 'so_leader' / 'hand.json').ids == tuple(
        range(1, 7)
    )
    assert servo_bus.get(1, P_GAIN) == 32


@pytest.mark.alone  # LeRobot waits 50 ms for an answer, and asks once
def test_lerobot_takes_the_arm_for_calibrated(servo_bus: FakeBus, path: Path) -> None:
    port = SerialPort(servo_bus.path)
    session(Bus(port), Person(servo_bus, *NEW, moves=[ENDS]), path).run(NOW)
    port.close()
    config = SO101FollowerConfig(port=servo_bus.path, id='my_arm', calibration_dir=path.parent)
    robot = SO101Follower(config)
    robot.bus.connect(handshake=False)
    assert robot.is_calibrated
    robot.bus.disconnect(disable_torque=False)


def test_without_a_person_the_command_ends(servo_bus: FakeBus, present: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, '-c', 'from so101_driver.calibrate import main; main()'),
            *('--port', servo_bus.path, '--id', str(present)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert 'calibrate: the input has ended' in ended.stderr
    assert 'Nothing was changed.' in ended.stdout


def test_the_command_talks_on_a_terminal(servo_bus: FakeBus, present: Path) -> None:
    new_from_the_factory(servo_bus)
    host, terminal = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, '-c', 'from so101_driver.calibrate import main; main()'),
            *('--port', servo_bus.path, '--id', str(present)),
        ],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = ''
    try:
        while 'calibrate anew:' not in shown:
            shown += os.read(host, 4096).decode()
        os.write(host, b'\n')
        while 'The arm is calibrated' not in shown:
            shown += os.read(host, 4096).decode()
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(host)
    assert 'are written to the motors, and verified' in shown
