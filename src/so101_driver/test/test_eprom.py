"""The servos' EPROM: compared in two grades, and written only where it differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from so101_driver import eprom
from so101_driver.bus import Bus
from so101_driver.calibration import Calibration, Role
from so101_driver.eprom import Difference, Grade
from so101_driver.packet import Instruction, Packet
from so101_driver.registers import (
    D_GAIN,
    HOMING_OFFSET,
    ID,
    LOCK,
    MAX_POSITION,
    MAX_TORQUE,
    MIN_POSITION,
    MODE,
    MODEL,
    OVERLOAD_TORQUE,
    P_GAIN,
    PHASE,
    PROTECTION_CURRENT,
    RETURN_DELAY,
    TORQUE_ENABLE,
    Register,
)
from so101_driver.serial_port import SerialPort
from so101_node.error import UserError

if TYPE_CHECKING:
    from conftest import FakeBus

Compare = Callable[..., list[Difference]]

SETTINGS = (P_GAIN, D_GAIN, MAX_TORQUE, PROTECTION_CURRENT, OVERLOAD_TORQUE)
IDS = range(1, 7)


@pytest.fixture
def bus(servo_bus: FakeBus, serial_port: SerialPort) -> Bus:
    for servo in IDS:
        servo_bus.set(servo, LOCK, 1)
    return Bus(serial_port)


@pytest.fixture
def compare(bus: Bus, calibration: Calibration) -> Compare:
    def compare(grade: Grade, role: Role = 'follower') -> list[Difference]:
        found = eprom.differences(calibration, eprom.read(bus, IDS), role)
        return [difference for difference in found if difference.grade is grade]

    return compare


def test_a_calibrated_arm_does_not_differ(compare: Compare) -> None:
    assert compare(Grade.CALIBRATION) == []


def test_differences_of_the_calibration_are_told(servo_bus: FakeBus, compare: Compare) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    servo_bus.set(3, MODEL, 1234)
    servo_bus.set(3, MIN_POSITION, 900)
    servo_bus.set(4, MAX_POSITION, 4095)
    servo_bus.set(5, MODE, 1)
    servo_bus.set(6, ID, 9)
    assert [str(difference) for difference in compare(Grade.CALIBRATION)] == [
        'shoulder_lift homing offset is -500, not -10',
        'elbow_flex model number is 1234, not 777',
        'elbow_flex minimum position is 900, not 1000',
        'wrist_flex maximum position is 4095, not 3000',
        'wrist_roll mode is 1, not 0',
        'gripper id is 9, not 6',
    ]


def test_settings_are_lerobots_for_the_role(
    bus: Bus, servo_bus: FakeBus, compare: Compare
) -> None:
    for servo in IDS:
        servo_bus.set(servo, PHASE, 0x1C)
        servo_bus.set(servo, RETURN_DELAY, 250)
        for register in SETTINGS:
            servo_bus.set(servo, register, 0)
    follower = [str(difference) for difference in compare(Grade.SETTING)]
    assert follower[:4] == [
        'shoulder_pan return delay is 250, not 0',
        'shoulder_pan phase is 28, not 12',
        'shoulder_pan P gain is 0, not 16',
        'shoulder_pan D gain is 0, not 32',
    ]
    assert follower[-3:] == [
        'gripper maximum torque is 0, not 500',
        'gripper protection current is 0, not 250',
        'gripper overload torque is 0, not 25',
    ]
    leader = compare(Grade.SETTING, 'leader')
    assert {item.register for item in leader} == {RETURN_DELAY, PHASE}
    eprom.write(bus, compare(Grade.SETTING))
    assert compare(Grade.SETTING) == []
    assert servo_bus.get(6, PHASE) == 12
    for register, value in ((MAX_TORQUE, 500), (PROTECTION_CURRENT, 250), (OVERLOAD_TORQUE, 25)):
        assert servo_bus.get(6, register) == value
        assert servo_bus.get(5, register) == 0
    assert servo_bus.get(1, P_GAIN) == 16


def test_only_what_differs_is_written_unlocked_and_limp(
    bus: Bus, servo_bus: FakeBus, compare: Compare
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    servo_bus.set(2, TORQUE_ENABLE, 1)
    servo_bus.set(4, MAX_POSITION, 4095)
    eprom.write(bus, compare(Grade.CALIBRATION))
    assert servo_bus.writes == [
        (2, TORQUE_ENABLE.address),
        (4, TORQUE_ENABLE.address),
        (2, LOCK.address),
        (2, HOMING_OFFSET.address),
        (2, LOCK.address),
        (4, LOCK.address),
        (4, MAX_POSITION.address),
        (4, LOCK.address),
    ]
    assert compare(Grade.CALIBRATION) == []
    assert [servo_bus.get(servo, LOCK) for servo in IDS] == [1] * 6
    assert servo_bus.torque() == [0] * 6


def test_nothing_is_written_when_nothing_differs(
    bus: Bus, servo_bus: FakeBus, compare: Compare
) -> None:
    eprom.write(bus, compare(Grade.CALIBRATION))
    assert servo_bus.writes == []


@pytest.mark.parametrize('register', [MODEL, ID])
def test_model_and_id_are_never_written(
    bus: Bus, servo_bus: FakeBus, compare: Compare, register: Register
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    servo_bus.set(3, register, 99)
    with pytest.raises(UserError, match=r'elbow_flex \w+.* is 99, not .*cannot be written'):
        eprom.write(bus, compare(Grade.CALIBRATION))
    assert servo_bus.writes == []


def test_what_does_not_take_is_named(
    bus: Bus, servo_bus: FakeBus, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    servo_bus.set(2, MODE, 3)
    wanted = compare(Grade.CALIBRATION)
    take = servo_bus._write

    def stubborn(servo: int, address: int, data: bytes) -> None:
        if address != HOMING_OFFSET.address:
            take(servo, address, data)

    monkeypatch.setattr(servo_bus, '_write', stubborn)
    with pytest.raises(UserError, match=r'shoulder_lift homing offset is -500 instead of -10$'):
        eprom.write(bus, wanted)
    assert servo_bus.get(2, LOCK) == 1
    assert servo_bus.get(2, MODE) == 0


def test_a_servo_that_keeps_its_torque_gets_nothing(
    bus: Bus, servo_bus: FakeBus, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    servo_bus.set(2, TORQUE_ENABLE, 1)
    wanted = compare(Grade.CALIBRATION)
    monkeypatch.setattr(servo_bus, '_write', lambda *_: None)
    with pytest.raises(UserError, match=r'torque did not go off on shoulder_lift \(id 2\)'):
        eprom.write(bus, wanted)
    assert {address for _, address in servo_bus.writes} == {TORQUE_ENABLE.address}


def test_a_lost_acknowledgement_is_no_failure(
    bus: Bus, servo_bus: FakeBus, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    wanted = compare(Grade.CALIBRATION)
    answer, lost = servo_bus._answer, [HOMING_OFFSET.address]

    def lossy(packet: Packet) -> bytes:
        reply = answer(packet)
        if packet.code == Instruction.WRITE and packet.params[0] in lost:
            lost.remove(packet.params[0])
            return b''
        return reply

    monkeypatch.setattr(servo_bus, '_answer', lossy)
    eprom.write(bus, wanted)
    assert lost == []
    assert compare(Grade.CALIBRATION) == []


def test_silence_while_writing_says_that_the_state_is_unknown(
    bus: Bus, servo_bus: FakeBus, compare: Compare
) -> None:
    servo_bus.set(2, HOMING_OFFSET, -500)
    wanted = compare(Grade.CALIBRATION)
    servo_bus.spoil = lambda replies: (
        b'' if servo_bus.writes[-1:] == [(2, LOCK.address)] else replies
    )
    with pytest.raises(UserError, match='What the servos hold now is not known'):
        eprom.write(bus, wanted)
