"""The bus thread on six servos: torque on with care, off always, and back after a silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from so101_description.joints import JOINTS
from so101_driver import control_loop
from so101_driver.arm import Arm, Bounds, State
from so101_driver.calibration import Calibration
from so101_driver.control_loop import COMMANDS_EVERY, ControlLoop
from so101_driver.registers import (
    ACCELERATION,
    FIRMWARE_MINOR,
    GOAL_POSITION,
    GOAL_SPEED,
    HOMING_OFFSET,
    MODEL,
    P_GAIN,
    PRESENT_POSITION,
    STATUS,
    TORQUE_ENABLE,
)
from so101_driver.trajectory import parse
from so101_node.error import UserError

if TYPE_CHECKING:
    from conftest import FakeBus

TIMEOUT = 5.0


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen in time'
        time.sleep(0.002)


class Driver:
    """A running loop, and what it reported."""

    def __init__(self, calibration: Calibration, path: str, **more: Any) -> None:
        self.arm = Arm(calibration, Bounds(3.0, 40.0, 1.0, 0.0))
        self.references: list[tuple[int, np.ndarray]] = []
        self.answers: list[int] = []
        self.loop = ControlLoop(
            self.arm,
            path,
            200.0,
            lambda answered, *_: self.answers.append(answered),
            lambda written, reference, velocity: self.references.append((written, reference)),
            **more,
        )
        self._pool = ThreadPoolExecutor(1)
        self.ended: Future[None] = self._pool.submit(self.loop.run, 0.1)

    def stop(self) -> None:
        self.loop.stop()
        self.ended.result(TIMEOUT)


@pytest.fixture
def driver(calibration: Calibration, servo_bus: FakeBus) -> Iterator[Driver]:
    driver = Driver(calibration, servo_bus.path)
    yield driver
    driver.loop.stop()
    driver.ended.exception(TIMEOUT)


def test_torque_comes_on_at_the_present_positions_and_goes_off(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    for servo in servo_bus.tables:
        servo_bus.set(servo, PRESENT_POSITION, 1500 + servo)
        servo_bus.set(servo, GOAL_POSITION, 100)
        servo_bus.set(servo, ACCELERATION, 50)
        servo_bus.set(servo, GOAL_SPEED, 300)
    servo_bus.goals_while_limp = 0
    driver.loop.set_torque(True)
    assert servo_bus.torque() == [1] * 6
    wait(lambda: len(driver.references) > 3)
    for servo in servo_bus.tables:
        assert servo_bus.get(servo, PRESENT_POSITION) == 1500 + servo
        assert servo_bus.get(servo, ACCELERATION) == servo_bus.get(servo, GOAL_SPEED) == 0
    driver.loop.set_torque(False)
    assert servo_bus.torque() == [0] * 6
    reported, cycles = len(driver.references), driver.loop.cycles
    wait(lambda: driver.loop.cycles > cycles + 3)
    assert len(driver.references) == reported
    assert servo_bus.goals_while_limp == 0


def test_torque_stays_off_outside_the_limits(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    servo_bus.set(2, PRESENT_POSITION, 3050)
    with pytest.raises(UserError, match='shoulder_lift at 3050 of 1000 to 3000'):
        driver.loop.set_torque(True)
    assert servo_bus.torque() == [0] * 6
    assert driver.arm.state == State.IDLE


def test_torque_goes_off_again_when_one_servo_does_not_take_its_goal(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    write = servo_bus._write

    def deaf(servo: int, address: int, data: bytes) -> None:
        if servo != 4 or address != ACCELERATION.address:
            write(servo, address, data)

    servo_bus._write = deaf  # type: ignore[method-assign]
    with pytest.raises(UserError, match='torque stays off: wrist_flex'):
        driver.loop.set_torque(True)
    assert servo_bus.torque() == [0] * 6


def test_torque_waits_for_a_servo_that_answers_again(
    driver: Driver, servo_bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    monkeypatch.setattr(control_loop, 'SILENCE', TIMEOUT)
    servo_bus.silent = {3}
    wait(lambda: driver.arm.paused)
    with ThreadPoolExecutor(1) as pool:
        switched = pool.submit(driver.loop.set_torque, True)
        asked = driver.loop.bus.failures[3] + 3
        wait(lambda: driver.loop.bus.failures[3] > asked)
        servo_bus.silent = set()
        assert switched.result(TIMEOUT) == 'torque is on'
    assert servo_bus.torque() == [1] * 6


def test_torque_stays_off_while_a_servo_is_silent(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    servo_bus.silent = {3}
    with pytest.raises(UserError, match=r'torque stays off: no answer from elbow_flex \(id 3\)'):
        driver.loop.set_torque(True)
    assert servo_bus.torque() == [0] * 6


def test_an_accepted_trajectory_moves_the_servos(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    point = SimpleNamespace(
        time_from_start=SimpleNamespace(sec=0, nanosec=200_000_000),
        positions=[0.1] * 6,
        velocities=[],
        accelerations=[],
        effort=[],
    )
    stamp = SimpleNamespace(sec=0, nanosec=0)
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp), joint_names=JOINTS, points=[point]
    )
    now = time.time_ns()
    driver.loop.command(lambda arm: arm.accept(parse(message, now), now))
    assert driver.arm.started == 1  # its first goal is written at once
    wait(lambda: driver.arm.state == State.HOLDING)
    assert driver.arm.motion is not None
    assert driver.arm.motion.position == pytest.approx(np.full(6, 0.1))
    goal = int(2000 + np.rad2deg(0.1) * 4095 / 360)
    assert servo_bus.get(1, PRESENT_POSITION) == goal
    # What is shown is what was sent, to the tick.
    told = driver.references[-1][1]
    assert (
        told.tolist()
        == driver.arm.calibration.radians(
            [servo_bus.get(servo, GOAL_POSITION) for servo in servo_bus.tables]
        ).tolist()
    )


def test_torque_goes_off_past_an_overloaded_and_a_silent_servo(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.set(2, STATUS, 32)
    servo_bus.silent = {3}
    with pytest.raises(UserError, match=r'still be on at elbow_flex \(id 3\), which'):
        driver.stop()
    assert servo_bus.torque() == [0, 0, 1, 0, 0, 0]


def test_a_torque_that_did_not_confirm_that_it_is_off_is_not_forgotten(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.silent = {3}
    with pytest.raises(UserError, match=r'may still be on at elbow_flex \(id 3\)'):
        driver.loop.set_torque(False)
    driver.loop.stop()
    error = driver.ended.exception(TIMEOUT)
    assert 'may still be on at elbow_flex (id 3)' in str(error)


def test_torque_goes_off_when_the_thread_fails(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    driver.arm.sense = fail  # type: ignore[method-assign, assignment]
    assert isinstance(driver.ended.exception(TIMEOUT), ZeroDivisionError)
    assert servo_bus.torque() == [0] * 6


def test_a_power_cut_is_a_fault_and_the_arm_comes_back_limp(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.silent = set(servo_bus.tables)
    wait(lambda: not driver.arm.connected)
    assert 'no answer from' in driver.arm.fault
    with pytest.raises(UserError, match='do not answer'):
        driver.loop.set_torque(True)
    for servo in servo_bus.tables:
        servo_bus.set(servo, TORQUE_ENABLE, 0)
    servo_bus.silent = set()
    wait(lambda: driver.arm.connected)
    assert not driver.arm.torque
    driver.loop.command(Arm.clear_fault)
    assert driver.arm.state == State.IDLE
    driver.loop.set_torque(True)
    assert driver.arm.state == State.HOLDING


def test_an_arm_that_was_held_all_the_while_is_held_on(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    goals = [servo_bus.get(servo, GOAL_POSITION) for servo in servo_bus.tables]
    servo_bus.silent = set(servo_bus.tables)
    wait(lambda: not driver.arm.connected)
    servo_bus.silent = set()
    wait(lambda: driver.arm.connected)
    assert servo_bus.torque() == [1] * 6
    assert [servo_bus.get(servo, GOAL_POSITION) for servo in servo_bus.tables] == goals
    assert driver.arm.state == State.FAULT
    driver.loop.command(Arm.clear_fault)
    assert driver.arm.state == State.HOLDING


def test_the_others_are_watched_and_held_while_one_servo_is_silent(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.silent = {3}
    wait(lambda: driver.arm.state == State.FAULT)
    assert 'no answer from elbow_flex' in driver.arm.fault
    assert driver.arm.connected
    assert servo_bus.torque() == [1] * 6
    servo_bus.silent = set()
    wait(lambda: not driver.arm.paused)
    driver.loop.command(Arm.clear_fault)


def test_a_servo_that_lost_its_torque_silently_is_found_out(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.set(3, TORQUE_ENABLE, 0)
    cycles = driver.loop.cycles
    wait(lambda: driver.arm.state == State.FAULT)
    assert driver.loop.cycles - cycles <= COMMANDS_EVERY + 1
    assert 'elbow_flex lost its torque' in driver.arm.fault
    servo_bus.goals_while_limp = 0
    cycles = driver.loop.cycles
    wait(lambda: driver.loop.cycles > cycles + 3)
    assert servo_bus.goals_while_limp == 0
    assert servo_bus.torque() == [1, 1, 0, 1, 1, 1]


def test_a_servo_that_comes_back_without_torque_gets_no_goal(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.goals_while_limp = 0
    servo_bus.silent = {3}
    wait(lambda: driver.arm.paused)
    servo_bus.set(3, TORQUE_ENABLE, 0)
    servo_bus.silent = set()
    wait(lambda: not driver.arm.powered[2])
    cycles = driver.loop.cycles
    wait(lambda: driver.loop.cycles > cycles + COMMANDS_EVERY)
    assert servo_bus.goals_while_limp == 0


def test_a_fault_that_ended_with_its_torque_is_cleared_at_once(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    for _ in range(5):
        driver.loop.set_torque(True)
        servo_bus.set(3, STATUS, 32)
        wait(lambda: driver.arm.state == State.FAULT)
        servo_bus.set(3, STATUS, 0)
        driver.loop.set_torque(False)
        driver.loop.command(Arm.clear_fault)


def test_servos_of_old_firmware_are_asked_one_by_one(
    servo_bus: FakeBus, calibration: Calibration
) -> None:
    servo_bus.set(4, FIRMWARE_MINOR, 9)
    driver = Driver(calibration, servo_bus.path)
    wait(lambda: driver.arm.state == State.IDLE)
    assert driver.loop.bus is not None and not driver.loop.bus.sync_reads
    driver.loop.set_torque(True)
    driver.stop()


def test_the_port_is_found_again_under_the_name_that_it_keeps(
    servo_bus: FakeBus, calibration: Calibration, tmp_path: Path
) -> None:
    device, by_id = tmp_path / 'ttyACM0', tmp_path / 'by-id'
    by_id.mkdir()
    device.symlink_to(servo_bus.path)
    (by_id / 'adapter').symlink_to(servo_bus.path)
    driver = Driver(calibration, str(device), by_id=by_id)
    wait(lambda: driver.arm.state == State.IDLE)
    assert driver.loop.path == str(by_id / 'adapter')
    driver.loop.set_torque(True)
    device.unlink()
    servo_bus.silent = set(servo_bus.tables)
    wait(lambda: not driver.arm.connected)
    servo_bus.silent = set()
    wait(lambda: driver.arm.connected)
    assert servo_bus.torque() == [1] * 6
    driver.stop()


def test_what_the_servos_differ_in_is_written_when_told_so(
    servo_bus: FakeBus, calibration: Calibration
) -> None:
    servo_bus.set(1, HOMING_OFFSET, 77)
    servo_bus.set(2, P_GAIN, 32)
    driver = Driver(calibration, servo_bus.path, write_eprom=True)
    wait(lambda: driver.arm.state == State.IDLE)
    assert servo_bus.get(1, HOMING_OFFSET) == -20
    assert servo_bus.get(2, P_GAIN) == 16
    assert driver.loop.settings == []
    driver.stop()


def test_other_settings_than_lerobots_are_only_a_warning(
    servo_bus: FakeBus, calibration: Calibration
) -> None:
    servo_bus.set(2, P_GAIN, 32)
    driver = Driver(calibration, servo_bus.path)
    wait(lambda: driver.arm.state == State.IDLE)
    assert driver.loop.settings == ['shoulder_lift P gain is 32, not 16']
    driver.stop()


def test_one_lost_reply_is_no_fault(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    driver.loop.set_torque(True)
    servo_bus.unheard = 3
    wait(lambda: servo_bus.unheard == 0)
    cycles = driver.loop.cycles
    wait(lambda: driver.loop.cycles > cycles)
    assert driver.arm.state == State.HOLDING
    assert driver.loop.bus is not None and driver.loop.bus.timeouts > 0


def test_a_stall_of_the_computer_is_no_silence_of_the_servos(
    driver: Driver, servo_bus: FakeBus
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    stalled = threading.Event()

    def stall(*_: object) -> None:
        if not stalled.is_set():
            time.sleep(1.2 * control_loop.SILENCE)
            servo_bus.unheard = 3
            stalled.set()

    driver.loop._on_states = stall
    wait(lambda: stalled.is_set() and servo_bus.unheard == 0)
    cycles = driver.loop.cycles
    wait(lambda: driver.loop.cycles > cycles + 3)
    assert (driver.arm.state, driver.loop.reconnects) == (State.IDLE, 0)


def test_servos_missing_at_the_start_are_named(
    calibration: Calibration, servo_bus: FakeBus
) -> None:
    servo_bus.silent = {2, 6}
    servo_bus.set(3, TORQUE_ENABLE, 1)
    driver = Driver(calibration, servo_bus.path)
    error = driver.ended.exception(TIMEOUT)
    assert isinstance(error, UserError)
    assert 'no answer from shoulder_lift (id 2), gripper (id 6)' in str(error)
    assert servo_bus.torque() == [0] * 6


def test_servos_that_an_earlier_driver_left_on_go_limp_at_the_start(
    servo_bus: FakeBus, calibration: Calibration
) -> None:
    for servo in servo_bus.tables:
        servo_bus.set(servo, TORQUE_ENABLE, 1)
    driver = Driver(calibration, servo_bus.path)
    wait(lambda: driver.arm.state == State.IDLE)
    assert servo_bus.torque() == [0] * 6
    driver.stop()


def test_servos_calibrated_otherwise_are_refused_with_the_difference(
    calibration: Calibration, servo_bus: FakeBus
) -> None:
    servo_bus.set(1, HOMING_OFFSET, 77)
    servo_bus.set(5, MODEL, 1)
    driver = Driver(calibration, servo_bus.path)
    error = driver.ended.exception(TIMEOUT)
    assert isinstance(error, UserError)
    assert 'shoulder_pan homing offset is 77, not -20' in str(error)
    assert 'wrist_roll model number is 1, not 777' in str(error)


def test_an_absent_port_ends_the_loop(calibration: Calibration) -> None:
    driver = Driver(calibration, '/dev/no_such_port')
    assert isinstance(driver.ended.exception(TIMEOUT), UserError)


def test_cycles_missed_are_skipped(driver: Driver, servo_bus: FakeBus) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    assert driver.loop.bus is not None
    bus = driver.loop.bus
    servo_bus.held = []
    wait(lambda: bus.timeouts >= 4)
    servo_bus.release()
    cycles = len(driver.answers)
    wait(lambda: len(driver.answers) > cycles + 10)
    gaps = np.diff(driver.answers[cycles + 1 : cycles + 10]) * 1e-9
    assert np.median(gaps) > 0.004


def test_a_guard_that_somebody_ended_is_replaced_but_not_in_a_burst(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(lambda: driver.arm.state == State.IDLE)
    first = driver.loop._guard
    assert first is not None
    first._process.kill()
    wait(lambda: 'guard process' in driver.loop.unguarded)
    assert driver.loop._guard is first
    monkeypatch.setattr(control_loop, '_GUARD_SECONDS', 0.0)
    wait(lambda: driver.loop._guard is not first and not driver.loop.unguarded)
