"""Six servos on a pty, which misbehave when told to."""

import json
import os
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_driver.packet import Decoder, Instruction, Packet, encode
from so101_driver.registers import (
    D_GAIN,
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    GOAL_POSITION,
    HOMING_OFFSET,
    ID,
    MAX_POSITION,
    MAX_TORQUE,
    MIN_POSITION,
    MODEL,
    MODEL_STS3215,
    OVERLOAD_TORQUE,
    P_GAIN,
    PRESENT_POSITION,
    PRESENT_VOLTAGE,
    PROTECTION_CURRENT,
    STATUS,
    TORQUE_ENABLE,
    Register,
)
from so101_driver.serial_port import SerialPort

# As LeRobot sets the servos of a follower.
SETTINGS = {
    FIRMWARE_MAJOR: 3,
    FIRMWARE_MINOR: 10,
    P_GAIN: 16,
    D_GAIN: 32,
    MAX_TORQUE: 1000,
    OVERLOAD_TORQUE: 80,
}
GRIPPER_SETTINGS = {MAX_TORQUE: 500, OVERLOAD_TORQUE: 25, PROTECTION_CURRENT: 250}


class FakeBus:
    """`path` is the port. Servos with torque are at their goals at once."""

    def __init__(self, calibration: Calibration) -> None:
        self.tables = {servo: bytearray(128) for servo in calibration.ids}
        for joint in calibration.joints:
            self.set(joint.id, MODEL, MODEL_STS3215)
            self.set(joint.id, ID, joint.id)
            self.set(joint.id, HOMING_OFFSET, joint.homing_offset)
            self.set(joint.id, MIN_POSITION, joint.range_min)
            self.set(joint.id, MAX_POSITION, joint.range_max)
            self.set(joint.id, PRESENT_POSITION, (joint.range_min + joint.range_max) // 2)
            self.set(joint.id, PRESENT_VOLTAGE, 120)
            for register, value in SETTINGS.items():
                self.set(joint.id, register, value)
        for register, value in GRIPPER_SETTINGS.items():
            self.set(calibration.ids[GRIPPER], register, value)
        self.silent: set[int] = set()  # servos that hear nothing
        self.unheard = 0  # so many of the next requests are lost
        self.held: list[bytes] | None = None  # replies wait here while it is a list
        self.spoil: Callable[[bytes], bytes] = lambda replies: replies
        self.goals_while_limp = 0
        self.writes: list[tuple[int, int]] = []  # servo and address of each acknowledged write
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def get(self, servo: int, register: Register) -> int:
        return register.decode(self.tables[servo][register.address :])

    def set(self, servo: int, register: Register, value: int) -> None:
        self._write(servo, register.address, register.encode(value))

    def torque(self) -> list[int]:
        return [self.get(servo, TORQUE_ENABLE) for servo in self.tables]

    def release(self) -> None:
        """Send the replies that were held."""
        held, self.held = self.held or [], None
        os.write(self._master, b''.join(held))

    def close(self) -> None:
        # Wakes the thread, as nothing else can while the slave stays open.
        os.write(self._slave, encode(Packet(0, 0, b'end')))
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)

    def _serve(self) -> None:
        decoder = Decoder()
        while True:
            for packet in decoder.feed(os.read(self._master, 4096)):
                if packet.params == b'end':
                    return
                if self.unheard:
                    self.unheard -= 1
                    continue
                replies = self.spoil(self._answer(packet))
                if self.held is not None:
                    self.held.append(replies)
                elif replies:
                    os.write(self._master, replies)

    def _answer(self, packet: Packet) -> bytes:
        params = packet.params
        match packet.code:
            case Instruction.PING:
                return self._reply(packet.id, b'')
            case Instruction.READ:
                return self._read(packet.id, params[0], params[1])
            case Instruction.WRITE:
                if packet.id not in self.silent:
                    self.writes.append((packet.id, params[0]))
                    self._write(packet.id, params[0], params[1:])
                return self._reply(packet.id, b'')
            case Instruction.SYNC_READ:
                return b''.join(self._read(servo, params[0], params[1]) for servo in params[2:])
            case Instruction.SYNC_WRITE:
                size = params[1] + 1
                for start in range(2, len(params), size):
                    servo, *data = params[start : start + size]
                    if servo not in self.silent:
                        self._write(servo, params[0], bytes(data))
        return b''

    def _read(self, servo: int, address: int, size: int) -> bytes:
        return self._reply(servo, bytes(self.tables[servo][address : address + size]))

    def _reply(self, servo: int, params: bytes) -> bytes:
        if servo not in self.tables or servo in self.silent:
            return b''
        return encode(Packet(servo, self.get(servo, STATUS), params))

    def _write(self, servo: int, address: int, data: bytes) -> None:
        table = self.tables[servo]
        table[address : address + len(data)] = data
        if address == GOAL_POSITION.address and not self.get(servo, TORQUE_ENABLE):
            self.goals_while_limp += 1
        if self.get(servo, TORQUE_ENABLE):
            present = PRESENT_POSITION.address
            table[present : present + 2] = GOAL_POSITION.encode(self.get(servo, GOAL_POSITION))


@pytest.fixture
def calibration_path(tmp_path: Path) -> Path:
    """Every range is 1000 to 3000; wrist_roll's the whole turn."""
    content = {
        joint: {
            'id': index + 1,
            'drive_mode': 0,
            'homing_offset': 10 * index - 20,
            'range_min': 0 if joint == 'wrist_roll' else 1000,
            'range_max': 4095 if joint == 'wrist_roll' else 3000,
        }
        for index, joint in enumerate(JOINTS)
    }
    path = tmp_path / 'calibration.json'
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def calibration(calibration_path: Path) -> Calibration:
    return load(calibration_path)


@pytest.fixture
def servo_bus(calibration: Calibration) -> Iterator[FakeBus]:
    bus = FakeBus(calibration)
    yield bus
    bus.close()


@pytest.fixture
def serial_port(servo_bus: FakeBus) -> Iterator[SerialPort]:
    port = SerialPort(servo_bus.path)
    yield port
    port.close()
