"""LeRobot's calibration file: its scales, what is wrong with it, and the servos' own values."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_driver.calibration import EPROM_SIZE, Calibration, JointCalibration, load
from so101_driver.registers import HOMING_OFFSET, MAX_POSITION, MIN_POSITION, MODEL
from so101_node.error import UserError

ROLL = JOINTS.index('wrist_roll')


def joints(drive_mode: int = 0) -> list[JointCalibration]:
    return [
        JointCalibration(
            i + 1, drive_mode, 10 * i - 20, *((0, 4095) if i == ROLL else (900, 3000))
        )
        for i, ends in enumerate([(900, 3000)] * 4 + [(0, 4095), (900, 3000)])
    ]


def test_ticks_are_lerobots_degrees_around_the_middle_of_the_range() -> None:
    radians = Calibration(joints()).radians(np.full(6, 3000))
    assert radians[0] == pytest.approx(np.deg2rad((3000 - 1950) * 360 / 4095))
    assert radians[ROLL] == pytest.approx(np.deg2rad((3000 - 2047.5) * 360 / 4095))


@pytest.mark.parametrize(('drive_mode', 'tick'), [(0, 3000), (1, 900)])
def test_the_gripper_opens_to_its_urdf_limit_and_is_clipped(drive_mode: int, tick: int) -> None:
    calibration = Calibration(joints(drive_mode))
    for beyond in (0, 200):
        away = tick + beyond if drive_mode == 0 else tick - beyond
        radians = calibration.radians(np.full(6, away))
        assert radians[GRIPPER] == pytest.approx(URDF_LIMITS['gripper'][1])


@given(st.integers(900, 3000), st.sampled_from([0, 1]))
def test_ticks_survive_the_way_to_radians_and_back(tick: int, drive_mode: int) -> None:
    calibration = Calibration(joints(drive_mode))
    assert calibration.ticks(calibration.radians(np.full(6, tick))) == [tick] * 6


def test_limits_are_the_range_or_the_urdfs_for_a_whole_turn() -> None:
    calibration = Calibration(joints())
    half = np.deg2rad(1050 * 360 / 4095)
    assert (calibration.lower[0], calibration.upper[0]) == pytest.approx((-half, half))
    assert (calibration.lower[ROLL], calibration.upper[ROLL]) == URDF_LIMITS['wrist_roll']


def test_a_joint_beyond_the_tolerance_is_named_with_its_range() -> None:
    ticks = np.array([900 - 22, 3000 + 24, 2000, 2000, 2000, 2000])
    assert Calibration(joints()).outside(ticks, np.deg2rad(2.0)) == [
        'shoulder_lift at 3024 of 900 to 3000'
    ]


def test_differences_from_the_eprom_are_told() -> None:
    calibration = Calibration(joints())
    eproms = []
    for joint in calibration.joints:
        eprom = bytearray(EPROM_SIZE)
        for register, value in (
            (MODEL, 777),
            (HOMING_OFFSET, joint.homing_offset),
            (MIN_POSITION, joint.range_min),
            (MAX_POSITION, joint.range_max),
        ):
            eprom[register.address : register.address + 2] = register.encode(value)
        eproms.append(bytes(eprom))
    assert calibration.differences(eproms) == []
    eproms[1] = eproms[0]
    eproms[2] = bytes(EPROM_SIZE)
    assert calibration.differences(eproms) == [
        'shoulder_lift homing offset is -20, not -10',
        'elbow_flex model number is 0, not 777',
        'elbow_flex minimum position is 0, not 900',
        'elbow_flex maximum position is 0, not 3000',
    ]


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
