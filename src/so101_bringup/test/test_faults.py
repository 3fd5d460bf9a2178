"""What goes wrong around the graph: one clear error, exit code 1, and a limp arm."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

from so101_bringup.runner import command
from so101_bringup.wiring import NodeSpec
from so101_driver.bus import Bus
from so101_driver.registers import TORQUE_ENABLE
from so101_driver.serial_port import SerialPort
from so101_node.error import UserError

CALIBRATION = Path(get_package_share_directory('so101_sim')) / 'config' / 'calibration.json'


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Path]:
    """Return the port of an arm that goes on when the graph ends, as a real one does."""
    port = tmp_path / 'arm'
    parameters = {'port': str(port), 'calibration': str(CALIBRATION)}
    process = subprocess.Popen(command(NodeSpec('so101_sim', 'world', 'sim_world', parameters)))
    while not port.is_symlink():
        assert process.poll() is None
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    yield port
    process.terminate()
    assert process.wait(timeout=20) == 0


def infer(checkpoint: Path, port: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, '-m', 'so101_bringup', 'infer', 'direct_reset:=true'),
            *(f'checkpoint:={checkpoint}', f'port:={port}', f'calibration:={CALIBRATION}'),
            *words,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=port.parent,
    )


def torque(port: Path) -> list[int]:
    """Return each servo's torque switch, read over the wire."""
    serial = SerialPort(str(port))
    try:
        replies = Bus(serial).sync_read(range(1, 7), TORQUE_ENABLE.address, 1)
        return [TORQUE_ENABLE.decode(reply) for reply in replies]
    finally:
        serial.close()


@pytest.mark.timeout(120)
def test_a_camera_that_never_delivers_is_named(unmarked: Path, arm: Path) -> None:
    process = infer(unmarked, arm, 'record:=false')
    output = process.communicate(timeout=100)[0]
    assert process.returncode == 1
    last = output.splitlines()[-1]
    assert last.startswith('so101 infer: session: policy/enable: nothing received from wrist')
    assert 'overhead camera (overhead_camera/image_raw)' in last
    assert torque(arm) == [0] * 6


@pytest.mark.timeout(120)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_torque_is_on_leaves_a_limp_arm(
    unmarked: Path, arm: Path, number: signal.Signals
) -> None:
    process = infer(unmarked, arm, 'record:=false')
    assert process.stdout is not None
    for line in process.stdout:
        if 'waiting for the policy' in line or 'holding' in line:
            break
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert torque(arm) == [0] * 6


@pytest.mark.timeout(120)
def test_a_runner_that_is_killed_leaves_a_limp_arm(unmarked: Path, arm: Path) -> None:
    process = infer(unmarked, arm, 'record:=false')
    assert process.stdout is not None
    for line in process.stdout:
        if 'waiting for the policy' in line or 'holding' in line:
            break
    process.kill()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert torque(arm) == [0] * 6
            break
        except UserError as error:  # the driver, told by the kernel, is still letting go
            assert 'in use' in str(error)
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_port_that_another_process_has_is_named(unmarked: Path, arm: Path) -> None:
    serial = SerialPort(str(arm))
    process = infer(unmarked, arm, 'record:=false')
    output = process.communicate(timeout=60)[0]
    serial.close()
    assert process.returncode == 1
    last = output.splitlines()[-1]
    assert last.startswith('so101 infer: driver: ')
    assert str(arm) in last


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting a small disk needs root')
def test_a_full_disk_is_found_before_the_arm_moves(
    unmarked: Path, arm: Path, tmp_path: Path
) -> None:
    disk = tmp_path / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('mounting is not allowed here')
    try:
        process = infer(unmarked, arm, f'recordings:={disk}/recordings')
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 1
        assert 'MB free, an episode needs 500' in output.splitlines()[-1]
        assert torque(arm) == [0] * 6
        assert not list(disk.glob('recordings/*'))
    finally:
        subprocess.run(['umount', str(disk)], check=True)
