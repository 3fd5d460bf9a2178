"""Calibration files: LeRobot's places and form, and what is wrong with a file."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

from so101_driver.calibration import Calibration
from so101_driver.calibration_file import find, folders, known, load, place, save
from so101_node.error import UserError

NOW = datetime(2026, 1, 31, 14, 5, 59)
VARIABLES = ('HF_LEROBOT_CALIBRATION', 'HF_LEROBOT_HOME', 'HF_HOME', 'XDG_CACHE_HOME')


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / 'places'
    monkeypatch.setenv('HF_LEROBOT_CALIBRATION', str(root))
    return root


def put(root: Path, folder: str, name: str, calibration_path: Path) -> Path:
    path = root / folder / f'{name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(calibration_path.read_bytes())
    return path


@pytest.mark.parametrize(
    'environment',
    [
        {},
        {'XDG_CACHE_HOME': '~/cache'},
        {'HF_HOME': '~/face', 'XDG_CACHE_HOME': '/cache'},
        {'HF_HOME': '$HOME/face'},
        {'HF_LEROBOT_HOME': '~/robot', 'HF_HOME': '/face'},
        {'HF_LEROBOT_CALIBRATION': '~/calibration', 'HF_LEROBOT_HOME': '/robot'},
    ],
    ids=lambda environment: ' '.join(environment) or 'none',
)
def test_the_places_are_lerobots(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = 'from lerobot.utils.constants import HF_LEROBOT_CALIBRATION as c; print(c)'
    theirs = subprocess.run(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True, env=os.environ
    ).stdout.strip()
    assert folders('follower')[0] == Path(theirs) / 'robots' / 'so_follower'
    assert folders('leader')[0] == Path(theirs) / 'teleoperators' / 'so_leader'


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(UserError, match="role is 'boss': give follower or leader"):
        folders('boss')  # type: ignore[arg-type]


@pytest.mark.parametrize('text', ['arms/a.json', './a', 'a.json'])
def test_a_path_is_taken_as_it_is(text: str, root: Path) -> None:
    assert find(text, 'follower') == Path(text) == place(text, 'follower')


def test_an_id_is_found_in_the_newest_of_lerobots_folders(
    root: Path, calibration_path: Path
) -> None:
    oldest = put(root, 'robots/so100_follower', 'arm', calibration_path)
    assert find('arm', 'follower') == oldest == find('', 'follower')
    old = put(root, 'robots/so101_follower', 'arm', calibration_path)
    assert find('arm', 'follower') == old == find('', 'follower')
    new = put(root, 'robots/so_follower', 'arm', calibration_path)
    assert find('arm', 'follower') == new == place('arm', 'follower')
    leader = put(root, 'teleoperators/so101_leader', 'hand', calibration_path)
    assert known('leader') == {'hand': leader}
    assert place('hand', 'leader') == root / 'teleoperators' / 'so_leader' / 'hand.json'


def test_what_is_not_found_is_answered_with_what_there_is(
    root: Path, calibration_path: Path
) -> None:
    for text, hint in (('', '--id NAME'), ('arm', '--id arm')):
        with pytest.raises(UserError, match=f'no follower arm is calibrated.*{root}.*{hint}'):
            find(text, 'follower')
    put(root, 'robots/so_follower', 'left', calibration_path)
    put(root, 'robots/so101_follower', 'right', calibration_path)
    with pytest.raises(UserError, match=f"no follower arm is called 'arm'.* left, right .*{root}"):
        find('arm', 'follower')
    with pytest.raises(UserError, match=f'say which, left, right .*{root}'):
        find('', 'follower')


def test_a_saved_file_is_byte_for_byte_what_lerobot_saves(
    calibration: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / 'new' / 'arm.json'
    assert save(path, calibration.joints, NOW) is None
    config = SO101FollowerConfig(port='/dev/null', id='arm', calibration_dir=path.parent)
    robot = SO101Follower(config)  # loads the file
    assert [vars(joint) for joint in robot.calibration.values()] == [
        vars(joint) for joint in calibration.joints
    ]
    robot._save_calibration(tmp_path / 'theirs.json')
    assert path.read_bytes() == (tmp_path / 'theirs.json').read_bytes()
    assert load(path).joints == calibration.joints


def test_the_earlier_file_is_kept_with_the_date(
    calibration: Calibration, calibration_path: Path
) -> None:
    earlier = calibration_path.read_bytes()
    kept = save(calibration_path, calibration.joints[::-1], NOW)
    assert kept == calibration_path.with_name('calibration.json.2026-01-31_14-05-59.bak')
    assert kept.read_bytes() == earlier
    assert sorted(calibration_path.parent.iterdir()) == [calibration_path, kept]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    calibration: Calibration, calibration_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = calibration_path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(UserError, match=f'{calibration_path}: No space left on device'):
        save(calibration_path, calibration.joints, NOW)
    assert list(calibration_path.parent.iterdir()) == [calibration_path]
    assert calibration_path.read_bytes() == earlier


def drop(content: dict[str, Any]) -> None:
    del content['gripper']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop, 'the file lacks gripper'),
        (lambda c: c.update(hand={}), 'the file has unknown hand'),
        (lambda c: c['gripper'].pop('id'), 'gripper lacks id'),
        (lambda c: c['gripper'].update(speed=1), 'gripper has unknown speed'),
        (lambda c: c.update(gripper=[1]), 'gripper is not a table'),
        (lambda c: c['gripper'].update(id=1), r'ids \[1, 2, 3, 4, 5, 1\] are not distinct'),
        (lambda c: c['gripper'].update(id='6'), "gripper.id is '6'"),
        (lambda c: c['gripper'].update(range_max=4096), 'gripper.range_max is 4096'),
        (lambda c: c['gripper'].update(range_min=-1), 'gripper.range_min is -1'),
        (lambda c: c['gripper'].update(range_min=3000), 'not below range_max 3000'),
        (lambda c: c['gripper'].update(homing_offset=2048), 'gripper.homing_offset is 2048'),
        (lambda c: c['gripper'].update(drive_mode=True), 'gripper.drive_mode is True'),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(
    calibration_path: Path, change: Any, message: str
) -> None:
    content = json.loads(calibration_path.read_text())
    change(content)
    calibration_path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f'calibration {calibration_path}: .*{message}'):
        load(calibration_path)


@pytest.mark.parametrize('content', [b'{"shoulder_pan": ', b'\xff\xfe', b'[]'])
def test_a_file_that_is_no_json_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'broken.json'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'broken\.json: .*(not a JSON file|not a table)'):
        load(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='No such file'):
        load(tmp_path / 'absent.json')
