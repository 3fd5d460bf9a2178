"""The driver's statuses on /diagnostics: what is measured, and warnings that name the cure."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.arm import Arm, State
from so101_driver.control_loop import ControlLoop
from so101_driver.servo_fault import reported
from so101_node.diagnostics import Level, Status

# Degrees Celsius. The servos cut out at 70; one that gets this warm in use gets there, too.
_WARM = 55

# Volts, of the supplies that these servos are sold for: 12 V; 5 V (SO-ARM100's kit) to 7.4 V.
_SUPPLIES = ((11.0, 13.0), (4.5, 8.6))

# Percent of full drive: above this a servo heats up quickly.
_HARD = 60.0

# Failed requests per thousand. A sound bus has none.
_ERRORS = 5.0

# Seconds over which the rate is measured, at least: a status may be asked for at any moment.
_RATE_SECONDS = 0.5

# The rate may fall this far below what was asked for.
_SLOW = 0.9


class Health:
    """Call `statuses` once a period: rates and errors are those since the last call."""

    def __init__(self, arm: Arm, loop: ControlLoop, rate: float, calibration: Path) -> None:
        self._arm = arm
        self._loop = loop
        self._rate = rate
        self._calibration = calibration
        self._counted = (time.monotonic(), 0)
        self._measured_rate = 0.0
        self._requests: dict[int, tuple[int, int]] = {}

    def statuses(self) -> list[Status]:
        return [self._arm_status(), self._bus_status(), *self._joint_statuses()]

    def _arm_status(self) -> Status:
        arm, state = self._arm, self._arm.state
        level = {State.FAULT: Level.ERROR, State.DISCONNECTED: Level.ERROR}.get(state, Level.OK)
        return Status(
            'driver/arm',
            level,
            arm.fault or state,
            {
                'state': state,
                'reason': arm.fault,
                'port': self._loop.given,  # by which others know this driver
                'open_port': self._loop.path,
                'calibration': str(self._calibration),
                'limp_joints': ', '.join(
                    joint
                    for joint, powered in zip(JOINTS, arm.powered, strict=True)
                    if arm.torque and not powered
                ),
                'lower_rad': _row(arm.limits.lower),
                'upper_rad': _row(arm.limits.upper),
                'gripper_on_object': arm.gripper.on_object,
                'trajectories_received': arm.received,
                'trajectories_rejected': arm.rejected,
                'trajectories_started': arm.started,
                'trajectories_replaced': arm.replaced,
                'last_rejection': arm.last_rejection,
            },
        )

    def _bus_status(self) -> Status:
        loop, (then, cycles) = self._loop, self._counted
        now = time.monotonic()
        if now - then > _RATE_SECONDS:
            self._counted = (now, loop.cycles)
            self._measured_rate = (loop.cycles - cycles) / (now - then)
        rate = self._measured_rate
        level, message = Level.OK, f'{rate:.0f} Hz'
        if not self._arm.connected:
            level, message = Level.ERROR, loop.absence or 'the servos are not found yet'
        elif self._arm.paused:
            level, message = Level.WARN, 'too few answers to move on: check the cables'
        elif 0 < rate < _SLOW * self._rate:
            level = Level.WARN
            message += f' of {self._rate:.0f}: the computer is busy, or the servos answer late'
        elif loop.unguarded:
            level, message = Level.WARN, loop.unguarded
        elif loop.settings:
            level = Level.WARN
            message = f'{"; ".join(loop.settings)}: run calibrate to mend it'
        bus = loop.bus
        return Status(
            'driver/bus',
            level,
            message,
            {
                'rate_hz': rate,
                'period_p50_ms': loop.period.percentile(50) * 1e3,
                'period_p99_ms': loop.period.percentile(99) * 1e3,
                'cycle_p50_ms': loop.cycle.percentile(50) * 1e3,
                'cycle_p99_ms': loop.cycle.percentile(99) * 1e3,
                'late_cycles': loop.late,
                'reconnects': loop.reconnects,
                'timeouts': bus.timeouts if bus else 0,
                'corrupt': bus.corrupt if bus else 0,
                'foreign': bus.foreign if bus else 0,
                'retries': bus.retries if bus else 0,
                'discarded_bytes': bus.discarded if bus else 0,
                'absence': loop.absence,
            },
        )

    def _joint_statuses(self) -> list[Status]:
        if self._arm.states is None:
            return []
        return [self._joint_status(index) for index in range(len(JOINTS))]

    def _joint_status(self, index: int) -> Status:
        states = self._arm.states
        assert states is not None
        faults = reported(states.status[index])
        values: dict[str, str | float] = {
            'temperature_c': float(states.temperature[index]),
            'voltage_v': float(states.voltage[index]),
            'current_a': float(states.current[index]),
            'load_percent': float(states.load[index]),
            'faults': ', '.join(fault.name for fault in faults),
            'errors_per_thousand': self._errors(index),
        }
        level, message = Level.OK, 'ok'
        if warnings := _warnings(index, values):
            level, message = Level.WARN, '; '.join(warnings)
        if faults:
            level = Level.ERROR
            message = '; '.join(f'{fault.name}: {fault.cure}' for fault in faults)
        return Status(f'driver/{JOINTS[index]}', level, message, values)

    def _errors(self, index: int) -> float:
        """Return a servo's failed requests per thousand since the last call."""
        bus, servo = self._loop.bus, self._arm.calibration.ids[index]
        if bus is None:
            return 0.0
        requests, failures = bus.requests.get(servo, 0), bus.failures.get(servo, 0)
        before, failed_before = self._requests.get(servo, (0, 0))
        self._requests[servo] = (requests, failures)
        if requests <= before:  # none, or a new connection
            return 0.0
        return 1000.0 * (failures - failed_before) / (requests - before)


def _row(values: NDArray[np.float64]) -> str:
    return ' '.join(f'{value:.6f}' for value in values.tolist())


def _warnings(index: int, values: dict[str, str | float]) -> list[str]:
    found = []
    temperature, voltage = float(values['temperature_c']), float(values['voltage_v'])
    if temperature >= _WARM:
        found.append(f'{temperature:.0f} C: let it rest; it cuts out at 70')
    if not any(low <= voltage <= high for low, high in _SUPPLIES):
        found.append(
            f'{voltage:.1f} V is neither 12 nor 5 to 7.4: check the power supply and its plug'
        )
    if abs(float(values['load_percent'])) >= _HARD and index != GRIPPER:
        found.append(f'works at {values["load_percent"]:.0f} % of its drive: lighten its load')
    if float(values['errors_per_thousand']) >= _ERRORS:
        found.append(
            f'{values["errors_per_thousand"]:.0f} of 1000 requests failed: check its cables'
        )
    return found
