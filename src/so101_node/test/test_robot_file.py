"""A robot file says what is particular to a robot; what is wrong in it is named with its line."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import HOME
from so101_description.units import dataset_to_radians
from so101_node import robot_file
from so101_node.error import UserError
from so101_node.robot_file import CameraSetting, Robot


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(robot_file.VARIABLE, raising=False)


def read(text: str) -> Robot:
    path = Path('robot.yaml')
    path.write_text(text)
    return robot_file.read(path)


def test_without_a_file_there_are_the_defaults() -> None:
    assert robot_file.load() == Robot()
    assert dataset_to_radians(Robot().arm.home) == pytest.approx(HOME)


@pytest.mark.parametrize('text', ['', '# nothing\n', 'arm:\n'])
def test_what_is_left_out_has_its_default(text: str) -> None:
    assert read(text) == dataclasses.replace(Robot(), path=Path('robot.yaml'))


def test_everything_that_can_be_said() -> None:
    robot = read("""
arm:
  port: /dev/so101_follower
  calibration: my_arm
  max_velocity: 2
  home: [0, -90, 90, 45, 0, 10]
leader: {port: /dev/so101_leader, calibration: leaders/mine.json}
cameras:
  wrist: {source: realsense, device: 0130322270000, exposure: 8000, gain: 16, white_balance: 4600}
task: Put the lid on the pot
episode_time: 20
checkpoint: /models/pot
recordings: ~/recordings
""")
    assert robot.arm == robot_file.Arm(
        '/dev/so101_follower', 'my_arm', 2.0, [0, -90, 90, 45, 0, 10]
    )
    assert robot.leader == robot_file.Leader('/dev/so101_leader', 'leaders/mine.json')
    # A serial number is taken as it stands there, and the robot has no other camera.
    assert robot.cameras == {'wrist': CameraSetting('realsense', '0130322270000', 8000, 16, 4600)}
    assert (robot.task, robot.episode_time) == ('Put the lid on the pot', 20.0)
    assert robot.checkpoint == '/models/pot'
    assert robot.recordings == str(Path.home() / 'recordings')


def test_paths_are_as_seen_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / 'robots'
    folder.mkdir()
    (folder / 'a.yaml').write_text(
        'arm: {calibration: ./a.json}\nrecordings: episodes\n'
        'cameras: {wrist: {source: video, device: film.mp4, calibration: c.yaml}}'
    )
    robot = robot_file.read(Path('robots/a.yaml'))
    assert robot.recordings == 'robots/episodes'
    assert robot.arm.calibration == 'robots/a.json'
    assert robot.cameras['wrist'].device == 'robots/film.mp4'
    assert robot.cameras['wrist'].calibration == 'robots/c.yaml'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('arm:\n  prot: x', 'robot.yaml:2: arm: unknown key prot; did you mean port?'),
        ('xyz: 1', 'robot.yaml:1: unknown key xyz; known: arm, leader, cameras, task'),
        ('task: a\ntask: b', 'robot.yaml:2: task stands there twice; keep one'),
        ('\narm:\n  max_velocity: fast', "robot.yaml:3: arm.max_velocity: expected float, got 'f"),
        ('arm:\n  max_velocity: 9', 'arm.max_velocity: 9.0 is too large; give at most 5'),
        ('arm: 3', 'robot.yaml:1: arm: expected lines of the form'),
        ('arm: {port: [a]}', 'robot.yaml:1: arm.port: expected str'),
        ('arm:\n  home: 5', 'robot.yaml:2: arm.home: expected list'),
        ('arm: {home: [1, 2]}', 'arm.home: expected 6 numbers, got'),
        ('arm: {home: [0, 0, 0, 0, 0, 101]}', 'arm.home: gripper 101 is not within 0 to 100'),
        ('arm: {home: [0, 0, .nan, 0, 0, 1]}', 'arm.home: expected 6 numbers'),
        ('cameras: {wrist: {source: webcam}}', "cameras.wrist.source: 'webcam' is none of none"),
        ('cameras: {overhead: {}}', 'cameras.wrist is missing'),
        ('cameras: {wrist: {source: video}}', 'cameras.wrist.device is missing'),
        ('cameras: {wrist: {exposure: -1}}', 'cameras.wrist.exposure: -1 is too small'),
        ('episode_time: true', 'episode_time: expected float, got True'),
        ('a: [', 'robot.yaml:2: not YAML: '),
        ('a: !!python/object:x {}', 'robot.yaml:1: unknown key a'),
        ('episode_time: !!python/name:os.system', 'robot.yaml:1: episode_time: '),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(text + '\n')
    assert message in str(error.value)
    assert str(error.value).startswith('robot.yaml:')


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r'robot file nowhere\.yaml: No such file'):
        robot_file.load('nowhere.yaml')
    monkeypatch.setenv(robot_file.VARIABLE, 'named.yaml')
    with pytest.raises(UserError, match=r'robot file named\.yaml: No such file'):
        robot_file.load()
    Path('given.yaml').write_text('task: given')
    assert robot_file.load('given.yaml').task == 'given'


def test_bytes_that_are_no_text_are_refused() -> None:
    Path('robot.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(UserError, match='not a text'):
        robot_file.load()


@given(st.text(max_size=60))
def test_any_text_is_a_robot_or_a_reason(text: str) -> None:
    Path('robot.yaml').write_text(text, errors='replace')
    try:
        robot = robot_file.load()
    except UserError as error:
        assert len(str(error).splitlines()) <= 3
    else:
        assert isinstance(robot, Robot)
