"""What the driver says on /diagnostics: every warning names its cure."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, Bounds, Rating
from so101_driver.calibration import Calibration
from so101_driver.control_loop import ControlLoop
from so101_driver.health import Health
from so101_driver.monitor import Reading
from so101_driver.registers import (
    FULL_ADDRESS,
    FULL_SIZE,
    PRESENT_LOAD,
    PRESENT_TEMPERATURE,
    PRESENT_VOLTAGE,
    STATUS,
)
from so101_driver.servo_state import ServoStates
from so101_node.diagnostics import Level, Status

NOW = 10**12


class Bench:
    """An arm whose servos say what they are told to say."""

    def __init__(self, calibration: Calibration) -> None:
        self.arm = Arm(calibration, Bounds(3.0, 40.0, 1.0, 0.0))
        self.loop = ControlLoop(self.arm, '/dev/arm', 200.0, lambda *_: None, lambda *_: None)
        self.health = Health(self.arm, self.loop, 200.0, Path('arm.json'))
        self.arm.connect(NOW, self.states(), [Rating(1000, 800)] * 6)
        self.bus: Any = SimpleNamespace(
            timeouts=0, corrupt=0, foreign=0, retries=0, discarded=0, requests={}, failures={}
        )
        self.loop.bus = self.bus

    def states(
        self, temperature: int = 30, voltage: int = 120, load: int = 0, status: int = 0
    ) -> Any:
        """The same of every servo; as the registers have it."""
        table = bytearray(FULL_ADDRESS + FULL_SIZE)
        table[PRESENT_TEMPERATURE.address] = temperature
        table[PRESENT_VOLTAGE.address] = voltage
        table[PRESENT_LOAD.address : PRESENT_LOAD.address + 2] = PRESENT_LOAD.encode(load)
        table[STATUS.address] = status
        return ServoStates([bytes(table[FULL_ADDRESS:])] * 6)

    def statuses(self, **more: int) -> dict[str, Status]:
        self.arm.sense(NOW, Reading(self.states(**more)))
        return {status.name: status for status in self.health.statuses()}


@pytest.fixture
def bench(calibration: Calibration) -> Bench:
    return Bench(calibration)


def test_a_sound_arm_has_no_warnings(bench: Bench) -> None:
    statuses = bench.statuses()
    assert set(statuses) == {'driver/arm', 'driver/bus', *(f'driver/{joint}' for joint in JOINTS)}
    assert all(statuses[f'driver/{joint}'].message == 'ok' for joint in JOINTS)
    values = statuses['driver/elbow_flex'].values
    assert values['temperature_c'] == 30
    assert values['voltage_v'] == pytest.approx(12.0)
    assert statuses['driver/arm'].values['calibration'] == 'arm.json'


@pytest.mark.parametrize(
    ('more', 'text'),
    [
        ({'temperature': 60}, '60 C: let it rest'),
        ({'voltage': 160}, '16.0 V is neither 12 nor 5 to 7.4: check the power supply'),
        ({'voltage': 101}, '10.1 V'),
        ({'load': -700}, 'lighten its load'),
    ],
)
def test_a_warning_names_its_cure(bench: Bench, more: dict[str, int], text: str) -> None:
    status = bench.statuses(**more)['driver/wrist_flex']
    assert status.level == Level.WARN
    assert text in status.message


def test_a_fault_is_an_error_with_its_cure(bench: Bench) -> None:
    status = bench.statuses(status=4)['driver/gripper']
    assert status.level == Level.ERROR
    assert status.message.startswith('temperature: ')
    assert status.values['faults'] == 'temperature'


def test_errors_are_counted_per_thousand_requests_since_the_last_time(bench: Bench) -> None:
    servo = bench.arm.calibration.ids[2]
    bench.bus.requests[servo], bench.bus.failures[servo] = 1000, 20
    status = bench.statuses()['driver/elbow_flex']
    assert status.values['errors_per_thousand'] == 20
    assert '20 of 1000 requests failed: check its cables' in status.message
    bench.bus.requests[servo] = 1200
    status = bench.statuses()['driver/elbow_flex']
    assert status.values['errors_per_thousand'] == 0
    assert status.message == 'ok'


def test_servos_that_cannot_be_found_are_an_error_that_says_why(bench: Bench) -> None:
    bench.arm.disconnect('the port is gone')
    bench.loop.absence = 'the servo port /dev/arm does not exist'
    status = bench.statuses()['driver/bus']
    assert status.level == Level.ERROR
    assert status.message == 'the servo port /dev/arm does not exist'


def test_settings_that_are_not_lerobots_are_a_warning(bench: Bench) -> None:
    bench.loop.settings = ['gripper maximum torque is 1000, not 500']
    status = bench.statuses()['driver/bus']
    assert status.level == Level.WARN
    assert 'gripper maximum torque is 1000, not 500' in status.message
    assert 'run calibrate' in status.message
