"""A port that cannot be had says why and what to do."""

from __future__ import annotations

import errno
import os
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
