"""The simulated port behaves as a serial port that is plugged in and out."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_driver.serial_port import SerialPort
from so101_node.error import UserError
from so101_sim.serial_device import BYTE_SECONDS, SerialDevice


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'ports' / 'follower'


@pytest.fixture
def device(path: Path) -> Iterator[SerialDevice]:
    one = SerialDevice(path, lambda data: data.upper())
    yield one
    one.close()


def ask(port: SerialPort, data: bytes) -> bytes:
    port.write(data)
    answer = b''
    deadline = time.monotonic() + 5
    while len(answer) < len(data) and time.monotonic() < deadline:
        answer += port.read(deadline)
    return answer


def test_every_byte_goes_there_and_back(device: SerialDevice, path: Path) -> None:
    port = SerialPort(str(path))
    data = bytes(i for i in range(256) if not chr(i).islower() or i > 127)
    assert ask(port, data) == data.upper()
    port.close()


def test_a_reply_takes_its_time_on_the_wire(device: SerialDevice, path: Path) -> None:
    port = SerialPort(str(path))
    start = time.monotonic()
    assert ask(port, b'x' * 500) == b'X' * 500
    assert time.monotonic() - start >= 1000 * BYTE_SECONDS
    port.close()


def test_one_host_after_another_may_open_it(device: SerialDevice, path: Path) -> None:
    for data in (b'a', b'b', b'c'):
        port = SerialPort(str(path))
        assert ask(port, data) == data.upper()
        port.close()


def test_a_host_that_never_reads_does_not_keep_it_from_closing(path: Path) -> None:
    device = SerialDevice(path, lambda data: data * 100)
    port = SerialPort(str(path))
    for _ in range(20):
        port.write(b'x' * 100)
    device.close()
    port.close()


def test_closing_removes_the_link(path: Path) -> None:
    device = SerialDevice(path, bytes)
    assert path.exists()
    device.close()
    assert not os.path.lexists(path)


def test_a_link_that_a_killed_simulation_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to('/dev/pts/gone')
    device = SerialDevice(path, bytes)
    assert path.exists()
    device.close()


def test_another_simulations_link_is_left_alone_on_closing(path: Path) -> None:
    first, second = SerialDevice(path, bytes), SerialDevice(path, bytes)
    first.close()
    assert path.exists()
    second.close()


def test_a_file_in_the_way_is_never_overwritten(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('mine')
    with pytest.raises(UserError, match='File exists'):
        SerialDevice(path, bytes)
    assert path.read_text() == 'mine'


def test_a_host_that_lets_go_at_the_end_is_still_answered(path: Path) -> None:
    device = SerialDevice(path, lambda data: data.upper())
    port = SerialPort(str(path))
    closing = threading.Thread(target=device.close)
    closing.start()
    while os.path.lexists(path):
        time.sleep(0.001)
    assert ask(port, b'torque off') == b'TORQUE OFF'
    port.close()
    closing.join(timeout=2.0)  # at once: not after the time that a host is given
    assert not closing.is_alive()
