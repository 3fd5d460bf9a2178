"""The bus thread: reads the servos, steps the arm, writes the goals; finds and leaves the bus."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from so101_driver.arm import Arm
from so101_driver.bus import Bus, BusError
from so101_driver.calibration import Radians
from so101_driver.serial_port import SerialPort
from so101_driver.servo_state import ServoStates
from so101_driver.servos import Servos
from so101_node.error import UserError
from so101_node.samples import Samples

# Seconds without an answer after which the servos count as lost.
SILENCE = 0.5


class ControlLoop:
    """Runs an arm on a port, `rate` cycles per second.

    `run` belongs in a thread of its own; every other method may be called from any thread and
    acts between two cycles. After each cycle `run` calls `on_states` with the time in ns when the
    servos answered and what they answered, and, while torque is on, `on_goals` with the time when
    the goals were written, the reference and its velocity.
    """

    def __init__(
        self,
        arm: Arm,
        port: str,
        rate: float,
        on_states: Callable[[int, ServoStates], None],
        on_goals: Callable[[int, Radians, Radians], None],
    ) -> None:
        self.period = Samples()  # seconds from answer to answer
        self.cycle = Samples()  # seconds that a cycle takes
        self.cycles = 0
        self._arm = arm
        self.path = port
        self._interval = 1 / rate
        self._on_states = on_states
        self._on_goals = on_goals
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._port: SerialPort | None = None
        self._servos: Servos | None = None
        self._bus: Bus | None = None
        self._powered = False  # torque was switched on, and not confirmed off since
        self._answered = 0  # time.monotonic_ns() of the last answer
        self._silent_since = 0.0  # time.monotonic() of the first request without one; 0 of none

    def run(self, port_timeout: float) -> None:
        """Wait for the port, then run until `stop`.

        Raises UserError when the port or a servo is missing at the start, the servos are not
        calibrated as the file says, or a servo does not confirm at the end that its torque is off.
        On every way out torque is switched off.
        """
        try:
            self._await_port(port_timeout)
            with self._lock:
                if not self._stop.is_set():
                    self._connect(SILENCE)
            deadline = time.monotonic()
            while not self._stop.wait(max(0.0, deadline - time.monotonic())):
                begin = time.monotonic()
                interval = self._interval if self._cycle() else SILENCE
                now = time.monotonic()
                self.cycle.add(now - begin)
                # A late cycle skips those that it missed, it does not catch up in a burst.
                deadline += interval
                if deadline < now:
                    deadline = now + interval - (now - deadline) % interval
        finally:
            with self._lock:
                self._leave()

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()

    def set_torque(self, on: bool) -> str:
        """Switch the torque of all servos; raises UserError when that is refused or fails."""
        with self._lock:
            if self._servos is None:
                raise UserError('the servos do not answer: check the power supply and the cables')
            if not on:
                self._arm.torque_off()
                self._confirm(self._servos.torque_off())
                return 'torque is off'
            if self._arm.torque:
                return 'torque is on already'
            try:
                states = self._servos.read_states()
                self._arm.check_torque_on(states)
                self._powered = True
                self._servos.torque_on(states.position.tolist())
            except BusError as error:
                self._confirm(self._servos.torque_off())
                raise UserError(f'torque stays off: {error}') from error
            self._arm.torque_on(time.time_ns(), states)
            return 'torque is on'

    def command(self, action: Callable[[Arm], Any]) -> None:
        """Let `action` use the arm between two cycles."""
        with self._lock:
            action(self._arm)

    @property
    def counters(self) -> dict[str, int]:
        """The bus's counts since it was found last."""
        bus = self._bus
        return {
            'timeouts': bus.timeouts if bus else 0,
            'corrupt': bus.corrupt if bus else 0,
            'retries': bus.retries if bus else 0,
        }

    def _cycle(self) -> bool:
        """Do one cycle; False when there are no servos."""
        with self._lock:
            if self._servos is None:
                return self._reconnect()
            begin = time.monotonic()
            try:
                states = self._servos.read_states()
                answered, monotonic = time.time_ns(), time.monotonic_ns()
                goals = self._arm.step(answered, states)
                if goals is not None:
                    self._servos.write_goals(goals)
                    self._arm.written()
                written = time.time_ns()
            except BusError as error:
                # From the first request on: a pause of this process is no silence of the bus.
                self._silent_since = self._silent_since or begin
                if time.monotonic() - self._silent_since > SILENCE:
                    self._lose(f'{error} for {SILENCE} s')
                return True
            self.period.add((monotonic - self._answered) * 1e-9)
            self._answered = monotonic
            self._silent_since = 0.0
            self.cycles += 1
            self._on_states(answered, states)
            if self._arm.reference is not None:
                self._on_goals(written, self._arm.reference, self._arm.velocity)
        return True

    def _await_port(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not Path(self.path).exists() and time.monotonic() < deadline:
            if self._stop.wait(0.05):
                return

    def _connect(self, patience: float) -> None:
        """Open the port and find the servos, limp; raises UserError."""
        self._port = SerialPort(self.path)
        self._bus = Bus(self._port)
        self._servos = servos = Servos(self._bus, self._arm.calibration)
        servos.find(patience)
        self._powered = True  # perhaps: an earlier driver may have been killed
        self._confirm(servos.torque_off())
        try:
            servos.check_calibration()
        except BusError as error:
            raise UserError(str(error)) from error
        self._answered = time.monotonic_ns()
        self._silent_since = 0.0
        self._arm.connect()

    def _reconnect(self) -> bool:
        try:
            self._connect(patience=0.0)
        except UserError:
            self._close()
            return False
        return True

    def _lose(self, reason: str) -> None:
        """Give up the servos until they answer again; those that still hear it go limp."""
        assert self._servos is not None
        self._servos.torque_off()
        self._arm.disconnect(reason)
        self._close()

    def _leave(self) -> None:
        servos = self._servos
        self._arm.torque_off()
        try:
            if servos is not None:
                left = servos.torque_off()
                if self._powered:
                    self._confirm(left)
        finally:
            self._close()

    def _confirm(self, left: list[str]) -> None:
        """Note that torque is off; raises UserError when servos are left that did not say so."""
        if left:
            raise UserError(
                f'torque may still be on at {", ".join(left)}, which did not confirm that it is '
                'off: hold the arm and switch its power off'
            )
        self._powered = False

    def _close(self) -> None:
        self._servos = None
        if self._port is not None:
            self._port.close()
            self._port = None
