"""Transactions survive what real buses do to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from so101_driver.bus import Bus, BusError
from so101_driver.registers import (
    PRESENT_POSITION,
    STATE_ADDRESS,
    STATE_SIZE,
    STATUS,
    TORQUE_ENABLE,
)
from so101_driver.serial_port import SerialPort

if TYPE_CHECKING:
    from conftest import FakeBus

IDS = (1, 2, 3, 4, 5, 6)


@pytest.fixture
def bus(serial_port: SerialPort) -> Bus:
    return Bus(serial_port)


def positions(bus: Bus) -> list[int]:
    return [PRESENT_POSITION.decode(b) for b in bus.sync_read(IDS, STATE_ADDRESS, STATE_SIZE)]


def test_a_sync_read_returns_each_servos_own_bytes_in_the_order_asked(
    bus: Bus, servo_bus: FakeBus
) -> None:
    for servo in IDS:
        servo_bus.set(servo, PRESENT_POSITION, 100 * servo)
    assert positions(bus) == [100, 200, 300, 400, 500, 600]
    assert bus.timeouts == bus.retries == bus.corrupt == 0


def test_a_late_reply_does_not_shift_later_reads(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.held = []
    with pytest.raises(BusError, match='no answer from servo 1, 2, 3, 4, 5, 6'):
        positions(bus)
    servo_bus.release()
    for value in (111, 222, 333):
        for servo in IDS:
            servo_bus.set(servo, PRESENT_POSITION, value)
        assert positions(bus) == [value] * 6
    assert bus.timeouts == 2


def test_the_tail_of_a_late_reply_is_not_mixed_with_the_next_one(
    bus: Bus, servo_bus: FakeBus
) -> None:
    tail = servo_bus._read(5, STATE_ADDRESS, STATE_SIZE) + servo_bus._read(
        6, STATE_ADDRESS, STATE_SIZE
    )
    for servo in IDS:
        servo_bus.set(servo, PRESENT_POSITION, 7)
    servo_bus.spoil = lambda replies: tail + replies
    assert positions(bus) == [7] * 6


def test_the_answer_of_another_servo_or_of_another_length_is_not_taken(
    bus: Bus, servo_bus: FakeBus
) -> None:
    servo_bus.set(3, PRESENT_POSITION, 42)
    foreign = servo_bus._read(2, 56, 2) + servo_bus._read(3, 0, 5)
    servo_bus.spoil = lambda replies: foreign + replies
    assert PRESENT_POSITION.decode(bus.read(3, 56, 2)) == 42


def test_a_lost_request_is_repeated_once(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.unheard = 1
    bus.ping(4)
    assert (bus.timeouts, bus.retries) == (1, 1)
    servo_bus.unheard = 2
    with pytest.raises(BusError, match='servo 4'):
        bus.ping(4)


def test_corrupt_replies_are_counted_and_not_taken(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.spoil = lambda replies: replies[:-1] + bytes((replies[-1] ^ 1,))
    with pytest.raises(BusError, match='servo 2 '):
        bus.read(2, 56, 2)
    assert bus.corrupt == 2


def test_one_silent_servo_is_named(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.silent = {5}
    with pytest.raises(BusError, match='no answer from servo 5 within'):
        positions(bus)


def test_an_error_byte_is_kept_and_is_no_error_of_the_bus(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.set(2, STATUS, 32)
    assert len(positions(bus)) == 6
    bus.write(2, TORQUE_ENABLE.address, b'\0')
    assert (bus.errors[1], bus.errors[2]) == (0, 32)


def test_a_port_that_vanished_is_a_bus_error(bus: Bus, serial_port: SerialPort) -> None:
    replaced = os.open('/dev/null', os.O_RDWR)
    os.dup2(replaced, serial_port._fd)
    os.close(replaced)
    with pytest.raises(BusError, match='is gone'):
        bus.ping(1)
