"""A port that cannot be had says why and what to do."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from so101_driver.serial_port import SerialPort
from so101_node.error import UserError

if TYPE_CHECKING:
    from conftest import FakeBus


def test_an_absent_port_is_named_with_what_to_check() -> None:
    with pytest.raises(UserError, match=r'/dev/no_such_port does not exist.*USB cable.*port'):
        SerialPort('/dev/no_such_port')


def test_a_port_in_use_is_refused_and_free_again_after_close(servo_bus: FakeBus) -> None:
    first = SerialPort(servo_bus.path)
    with pytest.raises(UserError, match='in use by another process'):
        SerialPort(servo_bus.path)
    first.close()
    SerialPort(servo_bus.path).close()


def test_a_forbidden_port_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> int:
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(os, 'open', forbid)
    with pytest.raises(UserError, match=r'no permission .*/dev/ttyACM0.*dialout'):
        SerialPort('/dev/ttyACM0')


def test_a_plain_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / 'port'
    path.touch()
    with pytest.raises(UserError, match='not a serial port'):
        SerialPort(str(path))


def test_every_byte_passes_unchanged(servo_bus: FakeBus, serial_port: SerialPort) -> None:
    servo_bus.spoil = lambda _: bytes(range(256))
    serial_port.write(bytes.fromhex('FFFF010201FB'))
    received = b''
    deadline = time.monotonic() + 2
    while len(received) < 256 and time.monotonic() < deadline:
        received += serial_port.read(deadline)
    assert received == bytes(range(256))


def test_a_read_ends_at_its_deadline(serial_port: SerialPort) -> None:
    begin = time.monotonic()
    assert serial_port.read(begin + 0.02) == b''
    assert 0.02 <= time.monotonic() - begin < 0.5


def test_input_that_nobody_read_is_dropped_and_counted(
    servo_bus: FakeBus, serial_port: SerialPort
) -> None:
    assert serial_port.discard() == 0
    os.write(servo_bus._master, bytes(300))
    deadline = time.monotonic() + 10
    seen = 0
    while not seen and time.monotonic() < deadline:
        seen = serial_port.discard()
    assert 0 < seen <= 300
    while serial_port.discard() and time.monotonic() < deadline:
        pass  # on a busy machine the pty hands them over in parts
    assert serial_port.read(time.monotonic()) == b''


def test_what_has_come_is_read_also_after_the_deadline(
    servo_bus: FakeBus, serial_port: SerialPort
) -> None:
    os.write(servo_bus._master, b'here')
    assert serial_port._readable.poll(10_000)
    assert serial_port.read(time.monotonic() - 1.0) == b'here'


@pytest.mark.parametrize('method', ['read', 'write'])
def test_a_device_that_is_gone_is_an_error(method: str) -> None:
    master, slave = os.openpty()
    port = SerialPort(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    assert port.discard() == 0
    with pytest.raises(OSError):
        port.read(time.monotonic() + 10) if method == 'read' else port.write(b'x')
    port.close()


def test_an_adapter_that_waits_is_told_not_to(
    servo_bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []

    def adapter(fd: int, request: int, *argument: bytearray) -> int:
        if request == termios.TIOCGSERIAL:
            argument[0][16:20] = (0x40).to_bytes(4, sys.byteorder)
        elif request == termios.TIOCSSERIAL:
            told.append(bytes(argument[0]))
        else:
            return ioctl(fd, request, *argument)
        return 0

    ioctl = fcntl.ioctl
    monkeypatch.setattr(fcntl, 'ioctl', adapter)
    SerialPort(servo_bus.path).close()
    # ASYNC_LOW_LATENCY, beside what was set before.
    assert [int.from_bytes(settings[16:20], sys.byteorder) for settings in told] == [0x2040]
