"""A first robot file: of what is plugged in, readable by every command, never over another."""

import argparse
from pathlib import Path

import pytest

from so101_bringup.doctor import plugged, robot_command
from so101_bringup.doctor.stand import OVERHEAD, Stand
from so101_bringup.doctor.usb_devices import DEVICES
from so101_node import robot_file
from so101_node.error import UserError
from so101_node.robot_file import CameraSetting, Robot

BY_ID = '/dev/serial/by-id/usb-1a86_USB_Single_Serial_{}-if00'


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setenv('HF_LEROBOT_CALIBRATION', str(tmp_path / 'calibrations'))
    return Stand(tmp_path / 'stand')


def run(stand: Stand, write: Path | None = None, **given: str) -> None:
    roles = {'follower': '', 'leader': '', 'wrist': '', 'overhead': '', **given}
    robot_command.run(argparse.Namespace(write=write, **roles), stand.machine)


def test_the_file_names_the_devices_by_names_that_stay(stand: Stand, tmp_path: Path) -> None:
    path = tmp_path / 'robot.yaml'
    run(stand, path)
    robot = robot_file.read(path)
    assert robot.arm.port == BY_ID.format('5A46083123')
    assert robot.leader.port == BY_ID.format('5A46083456')
    assert robot.cameras == {
        'wrist': CameraSetting('realsense'),
        'overhead': CameraSetting('v4l2', OVERHEAD),
    }
    text = path.read_text()
    assert text.count('exchange the two ports') == 2
    assert 'calibrate --role leader --id NAME' in text


def test_a_file_that_is_there_stays(stand: Stand, tmp_path: Path) -> None:
    path = tmp_path / 'robot.yaml'
    path.write_text('task: mine\n')
    with pytest.raises(UserError, match='is there already, and stays as it is'):
        run(stand, path)
    assert path.read_text() == 'task: mine\n'


def test_without_write_it_is_only_shown(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    run(stand)
    assert 'port: /dev/serial/by-id/' in capsys.readouterr().out


def test_who_is_who_can_be_said(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    run(stand, follower='5A46083456')
    shown = capsys.readouterr().out
    assert shown.index('5A46083456') < shown.index('leader:') < shown.index('5A46083123')


@pytest.mark.parametrize(('ids', 'line'), [(['a'], '  calibration: a'), (['a', 'b'], 'it: a, b')])
def test_calibrations_that_are_known_are_named(stand: Stand, ids: list[str], line: str) -> None:
    roles = plugged.assigned(stand.machine, Robot(), {})
    assert line in robot_command.proposal(roles, {'follower': ids, 'leader': []})


def test_nothing_plugged_in_is_refused(stand: Stand) -> None:
    stand.machine.remove(DEVICES)
    with pytest.raises(UserError, match='no arm and no camera is plugged in'):
        run(stand)


def test_a_robot_without_cameras_is_valid(stand: Stand, tmp_path: Path) -> None:
    for name in ('1-3', '2-1'):
        stand.machine.remove(f'{DEVICES}/{name}')
        stand.machine.remove(f'{DEVICES}/{name}:1.0')
    run(stand, tmp_path / 'robot.yaml')
    assert robot_file.read(tmp_path / 'robot.yaml').cameras == {'wrist': CameraSetting('none')}
