"""The simulated port behaves as a serial port that is plugged in and out."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_driver.serial_port import SerialPort
from so101_node.error import UserError
from so101_sim.fault import LATE_SECONDS
from so101_sim.pseudo_terminal import BYTE_SECONDS
from so101_sim.serial_device import SerialDevice
from so101_sim.wire import Late


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


def test_a_late_reply_comes_after_the_next_one(path: Path) -> None:
    answered = threading.Event()

    def answer(data: bytes) -> bytes:
        answered.set()
        return Late(data) if data == b'late' else data

    device = SerialDevice(path, answer)
    port = SerialPort(str(path))
    start = time.monotonic()
    port.write(b'late')
    assert answered.wait(5)
    assert ask(port, b'next') == b'next'
    late = b''
    while len(late) < 4:
        late += port.read(time.monotonic() + 5)
    assert late == b'late'
    assert time.monotonic() - start >= LATE_SECONDS
    port.close()
    device.close()


def test_a_host_finds_the_port_gone_when_it_is_unplugged(device: SerialDevice, path: Path) -> None:
    port = SerialPort(str(path))
    assert ask(port, b'a') == b'A'
    device.unplug()
    assert not device.plugged
    assert not os.path.lexists(path)
    with pytest.raises(OSError):
        port.read(time.monotonic() + 5)
    with pytest.raises(OSError):
        port.write(b'b')
    port.close()
    device.unplug()


def test_a_host_that_waits_for_a_reply_hears_at_once_that_the_port_is_gone(
    device: SerialDevice, path: Path
) -> None:
    port = SerialPort(str(path))
    waiting = threading.Thread(target=device.unplug)
    waiting.start()
    with pytest.raises(OSError):
        port.read(time.monotonic() + 60)
    waiting.join()
    port.close()


def test_it_comes_back_under_its_name_while_the_host_still_has_the_old_one(
    device: SerialDevice, path: Path
) -> None:
    old = SerialPort(str(path))
    device.unplug()
    device.replug()
    device.replug()
    assert device.path == path
    new = SerialPort(str(path))
    assert ask(new, b'a') == b'A'
    new.close()
    old.close()


@pytest.mark.parametrize(
    ('name', 'next_name'), [('arm', 'arm1'), ('ttyACM0', 'ttyACM1'), ('usb9', 'usb10')]
)
def test_it_comes_back_under_another_name_and_by_id_follows(
    tmp_path: Path, name: str, next_name: str
) -> None:
    path, by_id = tmp_path / name, tmp_path / 'by-id' / 'bus'
    device = SerialDevice(path, lambda data: data.upper(), by_id)
    assert by_id.resolve() == path.resolve()
    device.unplug()
    assert not os.path.lexists(by_id)
    device.replug(rename=True)
    assert device.path == tmp_path / next_name
    assert not os.path.lexists(path)
    assert by_id.resolve() == device.path.resolve()
    port = SerialPort(str(by_id))
    assert ask(port, b'a') == b'A'
    port.close()
    device.close()
    assert not os.path.lexists(by_id)
    assert not os.path.lexists(device.path)


def test_a_plugged_port_that_is_renamed_hangs_up_first(device: SerialDevice, path: Path) -> None:
    port = SerialPort(str(path))
    device.replug(rename=True)
    with pytest.raises(OSError):
        port.read(time.monotonic() + 5)
    port.close()


def test_a_link_that_cannot_be_made_leaves_it_unplugged(path: Path, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='file/by-id: cannot make'):
        SerialDevice(path, bytes, tmp_path / 'file' / 'by-id')
    assert not os.path.lexists(path)


def test_a_late_reply_is_lost_with_the_port_and_never_reaches_the_next_host(path: Path) -> None:
    answered = threading.Event()

    def answer(data: bytes) -> bytes:
        answered.set()
        return Late(data) if data == b'late' else data.upper()

    device = SerialDevice(path, answer)
    port = SerialPort(str(path))
    port.write(b'late')
    assert answered.wait(5)
    device.unplug()
    device.replug()
    port.close()
    port = SerialPort(str(path))
    assert port.read(time.monotonic() + 2 * LATE_SECONDS) == b''
    assert ask(port, b'a') == b'A'
    port.close()
    device.close()
