"""The monitor names what is wrong with a joint, and only that."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.monitor import OWN_TORQUE, PAUSE, SILENCE, Monitor, Reading, Trouble
from so101_driver.registers import FULL_SIZE, STATE_ADDRESS, STATE_SIZE, STATUS
from so101_driver.servo_fault import Reaction
from so101_driver.servo_state import ServoStates

S = 1_000_000_000
NOW = 1000 * S
ON, OFF = [True] * 6, [False] * 6
ZEROS = np.zeros(6)


def states(status: int = 0, joint: int = 2) -> ServoStates:
    blocks = [bytearray(STATE_SIZE) for _ in JOINTS]
    blocks[joint][STATUS.address - STATE_ADDRESS] = status
    return ServoStates([bytes(block) for block in blocks])


def told(torque: list[int]) -> ServoStates:
    return ServoStates([bytes((on,)).ljust(FULL_SIZE, b'\0') for on in torque])


@pytest.fixture
def monitor() -> Monitor:
    monitor = Monitor()
    monitor.reset(NOW)
    return monitor


def check(monitor: Monitor, reading: Reading, now: int = NOW) -> list[Trouble]:
    return monitor.check(now, reading, ON, ZEROS, ZEROS)


def test_sound_servos_are_no_trouble(monitor: Monitor) -> None:
    assert check(monitor, Reading(states())) == []
    assert check(monitor, Reading(told([1] * 6))) == []


def test_every_reported_fault_is_named_with_its_joint_and_cure(monitor: Monitor) -> None:
    found = check(monitor, Reading(states(status=1 | 32)))
    assert [(trouble.joint, trouble.name) for trouble in found] == [
        (2, 'voltage'),
        (2, 'overload'),
    ]
    assert found[0].text.startswith('{joints} reports voltage: measure the power supply')


@given(
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_a_torque_that_is_not_as_it_should_be_makes_the_joint_limp(
    has: list[bool], should: list[bool]
) -> None:
    monitor = Monitor()
    monitor.reset(NOW)
    reading = Reading(told([int(on) for on in has]))
    found = monitor.check(NOW, reading, should, ZEROS, None)
    assert {trouble.joint for trouble in found} == {
        joint for joint in range(6) if has[joint] != should[joint]
    }
    for trouble in found:
        assert trouble.reaction is Reaction.RELEASE
        assert (trouble.name == OWN_TORQUE) == has[trouble.joint]


def test_a_silent_joint_pauses_the_arm_and_then_is_a_trouble(monitor: Monitor) -> None:
    def after(seconds: float) -> tuple[list[int], list[Trouble]]:
        now = NOW + round(seconds * S)
        found = check(monitor, Reading(states(), silent=(4,)), now)
        return monitor.absent(now), found

    assert after(PAUSE * 0.9) == ([], [])
    assert after(PAUSE * 1.1) == ([4], [])
    absent, (trouble,) = after(SILENCE * 1.1)
    assert absent == [4]
    assert (trouble.joint, trouble.name) == (4, 'silence')
    now = NOW + 2 * S
    assert check(monitor, Reading(states()), now) == []
    assert monitor.absent(now) == []


def test_a_servo_that_does_not_answer_is_not_said_to_have_lost_its_torque(
    monitor: Monitor,
) -> None:
    assert check(monitor, Reading(told([1, 1, 1, 1, 0, 1]), silent=(4,))) == []


def test_a_joint_far_behind_for_long_is_blocked_but_the_gripper_may_be(monitor: Monitor) -> None:
    behind = np.full(6, 0.0)
    behind[[1, GRIPPER]] = 1.0
    found: list[Trouble] = []
    for cycle in range(200):
        found = monitor.check(NOW + cycle * S // 200, Reading(states()), ON, behind, ZEROS)
        assert cycle > 90 or not found
    assert [(trouble.joint, trouble.name) for trouble in found] == [(1, 'blocked')]
    assert '{joints} is 57 degrees behind its goal' in found[0].text
    assert monitor.check(NOW + 2 * S, Reading(states()), ON, ZEROS, ZEROS) == []


def test_a_limp_joint_is_not_blocked(monitor: Monitor) -> None:
    for cycle in range(200):
        now = NOW + cycle * S // 200
        assert monitor.check(now, Reading(states()), OFF, np.ones(6), ZEROS) == []
