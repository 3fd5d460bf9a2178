"""A port is known by the name that it keeps."""

from pathlib import Path

from so101_driver.port_path import stable


def test_a_port_is_found_by_its_id(tmp_path: Path) -> None:
    devices, by_id = tmp_path / 'dev', tmp_path / 'by-id'
    devices.mkdir()
    by_id.mkdir()
    for number, name in enumerate(('camera', 'adapter')):
        (devices / f'ttyACM{number}').touch()
        (by_id / name).symlink_to(f'../dev/ttyACM{number}')
    assert stable(str(devices / 'ttyACM1'), by_id) == str(by_id / 'adapter')
    assert stable(str(by_id / 'adapter'), by_id) == str(by_id / 'adapter')
    (devices / 'ttyUSB0').touch()
    assert stable(str(devices / 'ttyUSB0'), by_id) == str(devices / 'ttyUSB0')


def test_without_such_names_it_keeps_the_one_given(tmp_path: Path) -> None:
    assert stable('/dev/ttyACM0', tmp_path / 'absent') == '/dev/ttyACM0'
