"""A driver that is killed leaves no torque behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from so101_driver.guard import Guard
from so101_driver.guard_process import let_go
from so101_driver.registers import STATUS, TORQUE_ENABLE

if TYPE_CHECKING:
    from conftest import FakeBus

TIMEOUT = 20.0

# Has a guard, and waits to be killed.
DRIVER = """
import sys
from so101_driver.guard import Guard
guard = Guard(sys.argv[1], [1, 2, 3, 4, 5, 6])
print(guard._process.pid, flush=True)
sys.stdin.read()
"""


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, 'it did not happen in time'
        time.sleep(0.01)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def on(servo_bus: FakeBus) -> None:
    for servo in servo_bus.tables:
        servo_bus.set(servo, TORQUE_ENABLE, 1)


def test_torque_is_off_after_a_kill(servo_bus: FakeBus) -> None:
    on(servo_bus)
    driver = subprocess.Popen(
        [sys.executable, '-c', DRIVER, servo_bus.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert driver.stdout is not None
    guard = int(driver.stdout.readline())
    os.killpg(driver.pid, signal.SIGINT)
    os.killpg(driver.pid, signal.SIGKILL)
    wait(lambda: servo_bus.torque() == [0] * 6)
    wait(lambda: not alive(guard))
    _, text = driver.communicate(timeout=TIMEOUT)
    assert b'torque is off on every servo' in text


def test_a_guard_that_is_dismissed_touches_nothing(servo_bus: FakeBus) -> None:
    on(servo_bus)
    guard = Guard(servo_bus.path, list(servo_bus.tables))
    assert guard.watching
    guard.dismiss()
    assert not guard.watching
    assert servo_bus.torque() == [1] * 6


def test_a_guard_that_somebody_ended_is_missed(servo_bus: FakeBus) -> None:
    guard = Guard(servo_bus.path, list(servo_bus.tables))
    guard._process.kill()
    wait(lambda: not guard.watching)
    guard.dismiss()


def test_it_goes_on_past_an_overloaded_and_a_silent_servo(servo_bus: FakeBus) -> None:
    on(servo_bus)
    servo_bus.set(2, STATUS, 32)
    servo_bus.silent = {3}
    left = let_go(servo_bus.path, list(servo_bus.tables), deadline=0.0)
    assert left == 'servo 3'
    assert servo_bus.torque() == [0, 0, 1, 0, 0, 0]


def test_it_says_what_hinders_it() -> None:
    assert 'does not exist' in let_go('/dev/no_such_port', [1], deadline=0.0)
