"""LeRobot's scales, equal to the installed LeRobot's own to the last bit, and the limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_description.units import dataset_to_radians, radians_to_dataset
from so101_driver.calibration import Calibration, JointCalibration, Scale

ROLL = JOINTS.index('wrist_roll')
BUSES = {
    arm: FeetechMotorsBus(
        '/dev/null',
        {
            joint: Motor(
                index + 1,
                'sts3215',
                MotorNormMode.RANGE_0_100 if index == GRIPPER else MotorNormMode(arm.value),
            )
            for index, joint in enumerate(JOINTS)
        },
    )
    for arm in (Scale.DEGREES, Scale.RANGE_M100_100)
}


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    joints = []
    for index in range(len(JOINTS)):
        low = draw(st.integers(0, 4094))
        high = draw(st.integers(low + 1, 4095))
        joints.append(JointCalibration(index + 1, draw(st.integers(0, 1)), 0, low, high))
    return Calibration(joints)


def lerobots(calibration: Calibration, arm: Scale) -> FeetechMotorsBus:
    bus = BUSES[arm]
    bus.calibration = {
        name: MotorCalibration(j.id, j.drive_mode, j.homing_offset, j.range_min, j.range_max)
        for name, j in zip(JOINTS, calibration.joints, strict=True)
    }
    return bus


THOROUGH = settings(max_examples=300, deadline=None)
SIX = len(JOINTS)
TICKS = st.lists(st.integers(-5000, 9000), min_size=SIX, max_size=SIX)
VALUES = st.lists(st.floats(-400, 400), min_size=SIX, max_size=SIX)
ARM_SCALES = st.sampled_from(list(BUSES))


@THOROUGH
@given(calibrations(), TICKS, ARM_SCALES)
def test_values_of_ticks_are_lerobots(
    calibration: Calibration, ticks: list[int], arm: Scale
) -> None:
    theirs = lerobots(calibration, arm)._normalize(dict(enumerate(ticks, 1)))
    assert calibration.dataset(ticks, arm) == list(theirs.values())
    assert calibration.dataset(np.array(ticks), arm) == list(theirs.values())


@THOROUGH
@given(calibrations(), VALUES, ARM_SCALES)
def test_ticks_of_values_are_lerobots(
    calibration: Calibration, values: list[float], arm: Scale
) -> None:
    theirs = lerobots(calibration, arm)._unnormalize(dict(enumerate(values, 1)))
    assert calibration.ticks_of_dataset(values, arm) == list(theirs.values())


@THOROUGH
@given(calibrations(), TICKS, VALUES)
def test_radians_are_those_of_lerobots_values(
    calibration: Calibration, ticks: list[int], values: list[float]
) -> None:
    bus = lerobots(calibration, Scale.DEGREES)
    theirs = dataset_to_radians(list(bus._normalize(dict(enumerate(ticks, 1))).values()))
    assert (calibration.radians(np.array(ticks)) == theirs).all()
    radians = dataset_to_radians(values)
    back = bus._unnormalize(dict(enumerate(radians_to_dataset(radians).tolist(), 1)))
    assert calibration.ticks(radians) == list(back.values())


def joints(drive_mode: int = 0) -> list[JointCalibration]:
    return [
        JointCalibration(
            i + 1, drive_mode, 10 * i - 20, *((0, 4095) if i == ROLL else (900, 3000))
        )
        for i in range(len(JOINTS))
    ]


def test_a_tick_comes_back_from_radians_as_itself_or_cut_off_to_the_one_below() -> None:
    """LeRobot cuts the fraction off; its own degrees bring every tick back."""
    calibration = Calibration(joints())
    lost = 0
    for tick in range(4096):
        assert (
            calibration.joints[0].tick(
                calibration.joints[0].value(tick, Scale.DEGREES), Scale.DEGREES
            )
            == tick
        )
        back = calibration.ticks(calibration.radians([tick] * SIX))[:GRIPPER]
        assert {tick - value for value in back} <= {0, 1}
        lost += back[0] != tick
    assert lost == 98


@pytest.mark.parametrize(('drive_mode', 'tick'), [(0, 3000), (1, 900)])
def test_the_gripper_opens_to_its_urdf_limit_and_is_clipped(drive_mode: int, tick: int) -> None:
    calibration = Calibration(joints(drive_mode))
    for beyond in (0, 200):
        away = tick + beyond if drive_mode == 0 else tick - beyond
        radians = calibration.radians(np.full(SIX, away))
        assert radians[GRIPPER] == pytest.approx(URDF_LIMITS['gripper'][1])


@THOROUGH
@given(calibrations(), st.integers(-3000, 3000))
def test_speeds_are_the_difference_of_positions(calibration: Calibration, speed: int) -> None:
    arm, gripper = calibration.joints[0], calibration.joints[GRIPPER]
    radians = calibration.radians_per_second(np.full(SIX, speed))
    turned = arm.value(speed, Scale.DEGREES) - arm.value(0, Scale.DEGREES)
    assert radians[0] == pytest.approx(np.deg2rad(turned))
    low, high = URDF_LIMITS['gripper']
    whole = (high - low) * speed / (gripper.range_max - gripper.range_min)
    assert radians[GRIPPER] == pytest.approx(-whole if gripper.drive_mode else whole)


def test_limits_are_the_range_or_the_urdfs_for_a_whole_turn() -> None:
    calibration = Calibration(joints())
    half = np.deg2rad(1050 * 360 / 4095)
    assert (calibration.lower[0], calibration.upper[0]) == pytest.approx((-half, half))
    assert (calibration.lower[ROLL], calibration.upper[ROLL]) == URDF_LIMITS['wrist_roll']
    assert (calibration.lower[GRIPPER], calibration.upper[GRIPPER]) == URDF_LIMITS['gripper']


def test_a_joint_beyond_the_tolerance_is_named_with_its_range() -> None:
    calibration = Calibration(joints())
    ticks = [900 - 22, 3000 + 24, 2000, 2000, 2000, 2000]
    for given_ticks in (ticks, np.array(ticks)):
        assert calibration.outside(given_ticks, np.deg2rad(2.0)) == [
            'shoulder_lift at 3024 of 900 to 3000'
        ]


def test_a_whole_turn_is_outside_beyond_the_urdfs_limits() -> None:
    calibration = Calibration(joints())
    ticks = [2000] * SIX
    for end, away in ((calibration.lower, -24), (calibration.upper, 24)):
        ticks[ROLL] = calibration.ticks(end)[ROLL]
        assert calibration.outside(ticks, np.deg2rad(2.0)) == []
        ticks[ROLL] += away
        assert 'wrist_roll at' in calibration.outside(ticks, np.deg2rad(2.0))[0]
