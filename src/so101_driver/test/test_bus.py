"""Transactions survive what real buses do to them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from so101_driver import bus as bus_module
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.packet import Packet, encode
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


@pytest.fixture(autouse=True)
def margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the fake servos may take longer than real ones."""
    monkeypatch.setattr(bus_module, 'MARGIN', 0.1)


def positions(bus: Bus) -> list[int]:
    return [PRESENT_POSITION.decode(b) for b in bus.sync_read(IDS, STATE_ADDRESS, STATE_SIZE)]


def set_positions(servo_bus: FakeBus, value: int) -> None:
    for servo in IDS:
        servo_bus.set(servo, PRESENT_POSITION, value)


def test_a_sync_read_returns_each_servos_own_bytes_in_the_order_asked(
    bus: Bus, servo_bus: FakeBus
) -> None:
    for servo in IDS:
        servo_bus.set(servo, PRESENT_POSITION, 100 * servo)
    assert positions(bus) == [100, 200, 300, 400, 500, 600]
    blocks = bus.sync_read((5, 2), PRESENT_POSITION.address, PRESENT_POSITION.size)
    assert [PRESENT_POSITION.decode(block) for block in blocks] == [500, 200]
    assert bus.timeouts == bus.retries == bus.corrupt == bus.foreign == bus.discarded == 0
    assert bus.requests == {1: 1, 2: 2, 3: 1, 4: 1, 5: 2, 6: 1}
    assert bus.failures == {}


def test_a_late_answer_does_not_shift_later_reads(bus: Bus, servo_bus: FakeBus) -> None:
    set_positions(servo_bus, 5)
    servo_bus.held = []
    with pytest.raises(BusError, match='no answer from servo 1, 2, 3, 4, 5, 6') as silence:
        positions(bus)
    assert (silence.value.silent, silence.value.replies) == (IDS, {})
    assert (bus.timeouts, bus.retries) == (2, 1)
    servo_bus.release()
    for value in (111, 222, 333):
        set_positions(servo_bus, value)
        assert positions(bus) == [value] * 6


def test_ten_late_answers_that_come_after_the_next_request_are_never_taken_for_its_own(
    bus: Bus, servo_bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, 'MARGIN', 0.03)
    for event in range(10):
        set_positions(servo_bus, 1000 + event)
        servo_bus.held = []
        with pytest.raises(BusError):
            positions(bus)
        late, servo_bus.held = b''.join(servo_bus.held or []), None
        set_positions(servo_bus, 2000 + event)
        # First only the late answers come, then they come before the servos' own.
        servo_bus.spoil = lambda replies, late=late: late  # type: ignore[misc]
        with pytest.raises(BusError):
            bus.read(1, STATE_ADDRESS, STATE_SIZE)
        servo_bus.spoil = lambda replies, late=late: late + replies  # type: ignore[misc]
        assert positions(bus) == [2000 + event] * 6
        servo_bus.spoil = lambda replies: replies
    assert bus.foreign > 0


@pytest.mark.parametrize('address', [0, 3, STATE_ADDRESS, 85])
def test_after_failures_the_bytes_are_still_those_asked_for(
    bus: Bus, servo_bus: FakeBus, address: int
) -> None:
    for servo in IDS:
        servo_bus.tables[servo][:] = bytes(range(128))
        servo_bus.set(servo, STATUS, 0)
    expected = bytes(servo_bus.tables[1][address : address + 3])
    for failures in range(16):
        bus._extra, bus._disturbed = failures, time.monotonic()
        assert bus.read(1, address, 3) == expected
        assert bus.sync_read(IDS, address, 3) == [expected] * 6


def test_longer_reads_end_when_the_bus_is_calm(
    bus: Bus, servo_bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []

    def measured(replies: bytes) -> bytes:
        lengths.append(len(replies))
        return replies

    servo_bus.spoil = lambda replies: measured(replies)[:-1] + b'\0'
    with pytest.raises(BusError):
        bus.read(1, 60, 2)
    servo_bus.spoil = measured
    bus.read(1, 60, 2)
    monkeypatch.setattr(bus_module, '_CALM', -1.0)
    bus.read(1, 60, 2)
    assert lengths == [8, 9, 10, 8]


def test_the_answer_of_another_servo_or_of_another_length_is_not_taken(
    bus: Bus, servo_bus: FakeBus
) -> None:
    servo_bus.set(3, PRESENT_POSITION, 42)
    foreign = servo_bus._read(2, 56, 2) + servo_bus._read(3, 0, 5)
    servo_bus.spoil = lambda replies: foreign + replies
    assert PRESENT_POSITION.decode(bus.read(3, 56, 2)) == 42
    assert bus.foreign >= 2


def test_stale_bytes_are_dropped_and_counted(bus: Bus, servo_bus: FakeBus) -> None:
    set_positions(servo_bus, 1)
    stale = b''.join(servo_bus._read(servo, STATE_ADDRESS, STATE_SIZE) for servo in IDS)
    set_positions(servo_bus, 2)
    os.write(servo_bus._master, stale)
    deadline = time.monotonic() + 10
    while not bus._port._readable.poll(100):
        assert time.monotonic() < deadline
    assert positions(bus) == [2] * 6
    assert 0 < bus.discarded <= len(stale)


def test_a_lost_request_is_repeated_once(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.unheard = 1
    bus.ping(4)
    assert bus.retries == 1
    servo_bus.unheard = 1
    assert len(positions(bus)) == 6
    assert bus.retries >= 2
    servo_bus.unheard = 2
    with pytest.raises(BusError, match='servo 4'):
        bus.ping(4)


def test_a_write_is_not_repeated(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.unheard = 1
    with pytest.raises(BusError, match='servo 4'):
        bus.write(4, TORQUE_ENABLE.address, b'\1')
    assert bus.retries == 0 and servo_bus.torque() == [0] * 6


def test_corrupt_replies_are_counted_and_not_taken(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.spoil = lambda replies: replies[:-1] + bytes((replies[-1] ^ 1,))
    with pytest.raises(BusError, match='servo 2 '):
        bus.read(2, 56, 2)
    assert bus.corrupt == 2
    assert (bus.requests, bus.failures) == ({2: 2}, {2: 2})


def test_a_corrupt_reply_in_a_sync_read_is_asked_for_again(bus: Bus, servo_bus: FakeBus) -> None:
    set_positions(servo_bus, 77)

    def spoil(replies: bytes) -> bytes:
        damaged = bytearray(replies)
        if len(replies) > 100:
            damaged[2 * 21 + 9] ^= 0x40  # inside the third frame
        return bytes(damaged)

    servo_bus.spoil = spoil
    assert positions(bus) == [77] * 6
    # The sixth had answered: nobody waited for the deadline.
    assert (bus.corrupt, bus.retries, bus.timeouts) == (1, 1, 0)
    assert bus.failures == {3: 1}


def test_firmware_3_9_whose_sync_reads_are_corrupt_is_read_one_by_one(
    bus: Bus, servo_bus: FakeBus
) -> None:
    set_positions(servo_bus, 8)
    corrupt = b''.join(encode(Packet(s, 0, bytes(STATE_SIZE)))[:-1] + b'\7' for s in IDS)
    sync_reads = []

    def spoil(replies: bytes) -> bytes:
        if len(replies) <= 100:
            return replies
        sync_reads.append(replies)
        return corrupt + encode(Packet(0, 0, bytes(STATE_SIZE)))

    servo_bus.spoil = spoil
    bus.sync_reads = False
    assert positions(bus) == [8] * 6
    assert sync_reads == [] and bus.retries == bus.timeouts == 0
    bus.sync_reads = True
    assert positions(bus) == [8] * 6
    assert len(sync_reads) == 1 and bus.corrupt >= 6


def test_one_silent_servo_is_named_and_the_others_are_read(bus: Bus, servo_bus: FakeBus) -> None:
    set_positions(servo_bus, 9)
    servo_bus.silent = {5}
    with pytest.raises(BusError, match='no answer from servo 5 in time') as silence:
        positions(bus)
    assert silence.value.silent == (5,)
    assert set(silence.value.replies) == {1, 2, 3, 4, 6}
    assert {PRESENT_POSITION.decode(block) for block in silence.value.replies.values()} == {9}


def test_a_babbling_line_ends_at_the_deadline() -> None:
    class Babble:
        path, baudrate = 'babble', 1_000_000

        def discard(self) -> int:
            return 4096

        def write(self, data: bytes) -> None:
            pass

        def read(self, deadline: float) -> bytes:
            return b'\xff' * 100

    with pytest.raises(BusError, match='servo 1 '):
        Bus(Babble()).read(1, 56, 2)  # type: ignore[arg-type]


def test_an_answer_that_waits_is_taken_however_late_this_process_looks(
    bus: Bus, serial_port: SerialPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held_up(data: bytes) -> None:
        write(data)
        assert serial_port._readable.poll(10_000)
        monkeypatch.setattr(bus_module, 'MARGIN', -10.0)

    write = serial_port.write
    monkeypatch.setattr(serial_port, 'write', held_up)
    bus.ping(1)
    assert bus.timeouts == 0


def test_an_error_byte_is_kept_and_is_no_error_of_the_bus(bus: Bus, servo_bus: FakeBus) -> None:
    servo_bus.set(2, STATUS, 32)
    assert len(positions(bus)) == 6
    bus.write(2, TORQUE_ENABLE.address, b'\0')
    assert (bus.errors[1], bus.errors[2]) == (0, 32)


def test_a_sync_write_reaches_every_servo(bus: Bus, servo_bus: FakeBus) -> None:
    bus.sync_write(TORQUE_ENABLE.address, {2: b'\1', 5: b'\1'})
    bus.ping(1)  # the sync write was heard before
    assert servo_bus.torque() == [0, 1, 0, 0, 1, 0]
    with pytest.raises(ValueError, match='equally many'):
        bus.sync_write(TORQUE_ENABLE.address, {2: b'\1', 5: b'\1\2', 6: b''})


def test_a_port_that_vanished_is_gone(bus: Bus, serial_port: SerialPort) -> None:
    replaced = os.open('/dev/null', os.O_RDWR)
    os.dup2(replaced, serial_port._fd)
    os.close(replaced)
    with pytest.raises(PortGone, match='is gone'):
        bus.ping(1)


@pytest.mark.parametrize('method', ['discard', 'write', 'read'])
def test_a_port_gone_at_any_moment_is_no_missing_answer(
    bus: Bus, serial_port: SerialPort, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def vanish(*_: object) -> None:
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(serial_port, method, vanish)
    with pytest.raises(PortGone, match=r'gone .*Input/output error.* check its USB cable'):
        bus.sync_read(IDS, 56, 2)
    if method == 'write':
        with pytest.raises(PortGone):
            bus.sync_write(56, {1: b'\0'})
