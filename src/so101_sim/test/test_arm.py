"""Orders reach the wire and the servos that they are for, and are listed while they are on."""

from collections.abc import Sequence

import numpy as np
import pytest

from so101_description.joints import HOME, JOINTS
from so101_driver.calibration import Calibration
from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_sim.arm import Arm
from so101_sim.fault import FAULTS, Place, parse, parse_all

STILL = np.zeros(len(JOINTS))


@pytest.fixture
def arm(calibration: Calibration) -> Arm:
    return Arm(calibration, HOME)


def status(arm: Arm) -> list[int]:
    """Return the error byte of each servo that answers, as its first reply has it."""
    request = encode(Packet(BROADCAST, Instruction.SYNC_READ, bytes((56, 15, 1, 2, 3, 4, 5, 6))))
    return [packet.code for packet in Decoder().feed(arm.receive(request))]


def texts(arm: Arm) -> list[str]:
    return [str(order) for order in arm.faults]


@pytest.mark.parametrize(
    ('text', 'expected', 'listed'),
    [
        ('overload elbow_flex', [0, 0, 32, 0, 0, 0], ['overload elbow_flex']),
        ('hot all 80', [4] * 6, [f'hot {joint} 80' for joint in JOINTS]),
        (
            'encoder gripper, current gripper',
            [0, 0, 0, 0, 0, 10],
            ['encoder gripper 0', 'current gripper 4'],
        ),
        ('voltage', [1] * 6, ['voltage 16']),
        ('silent wrist_flex', [0] * 5, ['silent wrist_flex']),
        ('old_firmware wrist_flex', [0] * 5, ['old_firmware wrist_flex']),
        ('duplicate wrist_flex', [0] * 5, ['duplicate wrist_flex']),
        ('lost 2', [], ['lost 1']),
        ('lost 2, lost off, hot gripper, hot gripper off', [0] * 5 + [4], []),
        ('brownout all, reboot elbow_flex', [0] * 5, []),
    ],
)
def test_orders_do_what_they_say(
    arm: Arm, text: str, expected: Sequence[int], listed: Sequence[str]
) -> None:
    for order in parse_all(text):
        arm.inject(order)
    assert status(arm) == expected
    assert texts(arm) == listed


def test_clear_ends_everything(arm: Arm) -> None:
    for kind in FAULTS.values():
        if kind.lasts and kind.place is not Place.PORT:
            arm.inject(parse(f'{kind.name} all' if kind.place is Place.SERVO else kind.name))
    arm.inject(parse('hot all 30'))  # nothing to cool
    assert len(texts(arm)) > 60
    arm.inject(parse('clear'))
    assert texts(arm) == []
    assert status(arm) == [0] * 6


def test_an_overload_by_itself_is_listed(arm: Arm) -> None:
    arm.receive(encode(Packet(6, Instruction.WRITE, b'\x28\1')))
    for _ in range(1001):
        drive = arm.exchange(HOME, STILL, np.full(6, 0.3), 0.002)
    assert texts(arm) == ['overload gripper'], 'LeRobot lets a gripper have 25 % for two seconds'
    assert drive.strengths[5] == 0.2


def test_a_duplicate_is_one_more_servo_until_it_is_off(arm: Arm) -> None:
    for order in parse_all('duplicate elbow_flex, duplicate elbow_flex, duplicate elbow_flex off'):
        arm.inject(order)
    assert status(arm) == [0] * 6
