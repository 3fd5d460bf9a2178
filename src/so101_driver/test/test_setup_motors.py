"""Motors get their ids one at a time; who shares an id is found; a scripted person plugs them."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from itertools import zip_longest

import pytest
from rich.console import Console, RenderableType

from so101_description.joints import JOINTS
from so101_driver import motor_scan, setup_motors
from so101_driver.motor_scan import BAUD_RATES, PATIENT, Found, scan
from so101_driver.packet import Decoder, Instruction, Packet, encode
from so101_driver.registers import (
    BAUD_RATE,
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    ID,
    LOCK,
    MODEL,
    MODEL_STS3215,
    PRESENT_POSITION,
    PRESENT_VOLTAGE,
    TORQUE_ENABLE,
    Register,
)
from so101_driver.serial_port import SerialPort
from so101_driver.setup_motors import SetupSession
from so101_driver.terminal import Terminal
from so101_node.error import UserError


class FakeMotor:
    def __init__(self, identity: int = 1, baud: int = 0, position: int = 2000) -> None:
        self.table = bytearray(128)
        self.writes: list[int] = []  # addresses
        for register, value in (
            *((ID, identity), (BAUD_RATE, baud), (LOCK, 1), (MODEL, MODEL_STS3215)),
            *((FIRMWARE_MAJOR, 3), (FIRMWARE_MINOR, 10)),
            *((PRESENT_POSITION, position), (PRESENT_VOLTAGE, 121), (TORQUE_ENABLE, 1)),
        ):
            self.set(register, value)
        self._eprom = bytes(self.table[:40])

    def get(self, register: Register) -> int:
        return register.decode(bytes(self.table[register.address :]))

    def set(self, register: Register, value: int) -> None:
        end = register.address + register.size
        self.table[register.address : end] = register.encode(value)

    def answer(self, packet: Packet) -> bytes:
        """Take a request; the id changes at once, the reply still has the earlier one."""
        data = b''
        if packet.code == Instruction.READ:
            start, size = packet.params
            data = bytes(self.table[start : start + size])
        elif packet.code == Instruction.WRITE:
            start = packet.params[0]
            self.writes.append(start)
            self.table[start : start + len(packet.params) - 1] = packet.params[1:]
            if not self.get(LOCK):
                self._eprom = bytes(self.table[:40])
        return encode(Packet(packet.id, 0, data))

    def power_cycle(self) -> None:
        self.table[:40] = self._eprom


class Board:
    """The port at `path`, and the motors that are connected to it now."""

    def __init__(self) -> None:
        self.motors: list[FakeMotor] = []
        self.together: Callable[[list[bytes]], bytes] = collision
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        os.write(self._slave, encode(Packet(0, 0, b'end')))
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)

    def open(self, baudrate: int) -> SerialPort:
        return SerialPort(self.path, baudrate)

    def _rate(self) -> int:
        settings = bytearray(44)  # struct termios2, whose last word is the rate of output
        fcntl.ioctl(self._master, 0x802C542A, settings)
        return int(struct.unpack('11I', settings)[-1])

    def _serve(self) -> None:
        decoder = Decoder()
        while True:
            for packet in decoder.feed(os.read(self._master, 4096)):
                if packet.params == b'end':
                    return
                rate = self._rate()
                replies = [
                    motor.answer(packet)
                    for motor in self.motors
                    if motor.get(ID) == packet.id and BAUD_RATES[motor.get(BAUD_RATE)] == rate
                ]
                if reply := self.together(replies):
                    os.write(self._master, reply)


def collision(replies: list[bytes]) -> bytes:
    """Return what one line carries when all drive it at the same instant."""
    combined = b''
    for column in zip_longest(*replies, fillvalue=0xFF):
        value = 0xFF
        for byte in column:
            value &= byte
        combined += bytes((value,))
    return combined


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    # Few ids, each waited for patiently: as many seconds as a real scan's, on a busy machine.
    monkeypatch.setattr(motor_scan, 'MAX_ID', 9)
    monkeypatch.setattr(setup_motors, 'QUICK', PATIENT)
    board = Board()
    yield board
    board.close()


class Person(Terminal):
    """Connects the next motors at each question."""

    def __init__(self, board: Board, *connections: list[FakeMotor] | None) -> None:
        self.said = ''
        self._board = board
        self._connections = list(connections)

    def say(self, text: RenderableType = '') -> None:
        out = io.StringIO()
        Console(file=out, width=200).print(text)
        self.said += out.getvalue()

    def ask(self, text: str) -> str:
        self.said += f'{text}\n'
        motors = self._connections.pop(0)
        if motors is None:
            raise KeyboardInterrupt
        self._board.motors = motors
        return ''


@pytest.mark.parametrize('index', range(len(BAUD_RATES)))
def test_a_motor_is_found_at_its_rate_and_at_no_other(board: Board, index: int) -> None:
    board.motors = [FakeMotor(7, index)]
    other = BAUD_RATES[index - 1]
    for rate, expected in ((BAUD_RATES[index], [Found(7, clear=True)]), (other, [])):
        port = board.open(rate)
        assert scan(port, rate, PATIENT) == expected
        port.close()


@pytest.mark.parametrize('together', [collision, b''.join, lambda replies: replies[0][:3]])
def test_motors_that_share_an_id_are_found(
    board: Board, together: Callable[[list[bytes]], bytes]
) -> None:
    board.motors = [FakeMotor(1, position=1234), FakeMotor(1, position=2345), FakeMotor(4)]
    board.together = lambda replies: together(replies) if len(replies) > 1 else b''.join(replies)
    port = board.open(BAUD_RATES[0])
    assert scan(port, BAUD_RATES[0], PATIENT) == [Found(1, clear=False), Found(4, clear=True)]
    port.close()


def test_a_late_answer_is_the_one_of_its_own_id(board: Board) -> None:
    """Motor 2's answers come when motor 3 is asked."""
    board.motors = [FakeMotor(2)]
    held: list[bytes] = []

    def late(replies: list[bytes]) -> bytes:
        if len(replies) == 1 and len(replies[0]) == 6 and not held:
            held.append(replies[0])
            return b''
        return held.pop() if held and not replies else b''.join(replies)

    board.together = late
    port = board.open(BAUD_RATES[0])
    assert scan(port, BAUD_RATES[0], PATIENT) == [Found(2, clear=True)]
    port.close()


def test_six_new_motors_get_their_ids_for_good(board: Board) -> None:
    motors = [FakeMotor(1, index) for index in range(6)]

    class Careful(Person):
        """Connects the motor that is asked for, as often as it is."""

        def ask(self, text: str) -> str:
            self._connections = [
                [m for joint, m in zip(JOINTS, motors, strict=True) if joint in text]
            ]
            return super().ask(text)

    person = Careful(board)
    SetupSession(board.open, person).run()
    for motor in motors:
        assert motor.get(LOCK) == 1
        motor.power_cycle()
    assert [motor.get(ID) for motor in motors] == [1, 2, 3, 4, 5, 6]
    assert [motor.get(BAUD_RATE) for motor in motors] == [0] * 6
    assert motors[0].writes == []  # it came with its id
    assert motors[3].writes.count(ID.address) == 1
    assert motors[3].get(TORQUE_ENABLE) == 0
    assert 'Found id 1 at 128000 baud: STS3215, firmware 3.10, 12.1 V' in person.said
    assert person.said.index('the gripper motor') < person.said.index('the shoulder_pan motor')
    assert 'It is motor 1 already: nothing was written.' in person.said


def test_what_is_connected_wrongly_is_told_until_it_is_right(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_motors, 'BAUD_RATES', BAUD_RATES[:2])
    pair = [FakeMotor(1, position=1234), FakeMotor(1, position=2345)]
    other = FakeMotor(1)
    other.set(MODEL, 1029)
    right = FakeMotor(1)
    person = Person(board, [], pair, [FakeMotor(2), FakeMotor(4)], [other], [right], None)
    session = SetupSession(board.open, person)
    with pytest.raises(KeyboardInterrupt):
        session.run()
    for text in (
        'No motor answers. Check that the power supply is on',
        'Several motors answer at once under id 1: disconnect all but the gripper motor',
        'Motors 2, 4 answer: disconnect all but the gripper motor',
        'This is no STS3215 motor: model number 1029',
        'It is motor 6 now, verified.',
    ):
        assert text in person.said
    assert right.get(ID) == 6
    assert [motor.writes for motor in (*pair, other)] == [[], [], []]
    assert session.state.startswith('These motors are set up: gripper.')


def test_a_motor_that_does_not_take_its_id_is_refused(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    motor = FakeMotor(1)
    answer = motor.answer

    def stubborn(packet: Packet) -> bytes:
        return answer(
            packet._replace(code=Instruction.PING) if packet.params[:1] == b'\x05' else packet
        )

    monkeypatch.setattr(motor, 'answer', stubborn)
    with pytest.raises(UserError, match=r'gripper motor does not answer as 6\. Switch its power'):
        SetupSession(board.open, Person(board, [motor])).run()


def test_a_check_lists_the_motors_and_changes_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_motors, 'BAUD_RATES', BAUD_RATES[:2])
    board.motors = [FakeMotor(servo) for servo in range(1, 7)]
    person = Person(board)
    SetupSession(board.open, person).check()
    for joint in JOINTS:
        assert joint in person.said
    assert 'All six motors are there' in person.said
    assert [motor.writes for motor in board.motors] == [[]] * 6


@pytest.mark.parametrize('shared', [False, True])
def test_a_check_names_what_is_wrong(
    board: Board, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(setup_motors, 'BAUD_RATES', BAUD_RATES[:2])
    foreign = FakeMotor(5)
    foreign.set(MODEL, 1029)
    board.motors = [FakeMotor(1), FakeMotor(2), FakeMotor(4, 1), foreign, FakeMotor(9)]
    if shared:
        board.motors.append(FakeMotor(2, position=3456))
    person = Person(board)
    with pytest.raises(UserError, match='the motors are not ready'):
        SetupSession(board.open, person).check()
    for text, expected in (
        ('several motors answer under id 2', shared),
        ('elbow_flex (id 3) does not answer', not shared),
        ('gripper (id 6) does not answer', not shared),
        ('shoulder_pan (id 1) does not answer', False),
        ('id 4 talks at 500000 baud', True),
        ('id 5 is no STS3215 motor', True),
        ('id 9 is no joint of the arm', True),
    ):
        assert (text in person.said) is expected, text


def test_a_port_without_a_rate_lists_each_motor_once(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, '_rate', lambda: BAUD_RATES[0])
    monkeypatch.setattr(setup_motors, 'BAUD_RATES', BAUD_RATES[:2])
    board.motors = [FakeMotor(servo) for servo in range(1, 7)]
    person = Person(board)
    SetupSession(board.open, person).check()
    assert person.said.count('STS3215') == 6


def test_the_command_says_what_ctrl_c_leaves(board: Board) -> None:
    host, terminal = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, '-c', 'from so101_driver.setup_motors import main; main()'),
            *('--port', board.path),
        ],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = ''
    try:
        while 'Connect the gripper motor' not in shown:
            shown += os.read(host, 4096).decode()
        process.send_signal(2)
        while 'No motor was changed.' not in shown:
            shown += os.read(host, 4096).decode()
        assert process.wait(20) == 130
    finally:
        process.kill()
        os.close(host)
