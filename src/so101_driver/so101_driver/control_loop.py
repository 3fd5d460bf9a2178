"""The bus thread: reads the servos, steps the arm, writes the goals; finds and leaves the bus."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from so101_driver import eprom, port_path
from so101_driver.arm import Arm, Command, Rating
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.calibration import Radians, Role
from so101_driver.guard import Guard
from so101_driver.monitor import SILENCE
from so101_driver.registers import FIRMWARE_MAJOR, FIRMWARE_MINOR, MAX_TORQUE, OVERLOAD_TORQUE
from so101_driver.serial_port import SerialPort
from so101_driver.servo_state import ServoStates
from so101_driver.servos import Servos
from so101_driver.torque_ramp import TorqueRamp
from so101_node.error import UserError
from so101_node.samples import Samples

# Every so many cycles what the servos were told is read back, too: it takes 1 ms of the wire. A
# servo whose supply dipped answers as before, but without torque.
COMMANDS_EVERY = 10

# Seconds from one guard process to the next, if they end by themselves.
_GUARD_SECONDS = 5.0

# Seconds between two attempts to find servos that were lost.
_RETRY = 0.5

# Before this the servos answer sync reads with corrupt data.
_SYNC_READ_FIRMWARE = (3, 10)


class ControlLoop:
    """Runs an arm on a port, `rate` cycles per second.

    `run` belongs in a thread of its own; every other method may be called from any thread and
    acts between two cycles. In each cycle `run` calls `on_states` with the time in ns when the
    servos answered, and the positions (rad, (6,)) and speeds (rad/s) that they said; and, while
    torque is on, `on_goals` with the time when goals were written, the goals as the servos
    understand them (rad, (6,)), and the velocity of the reference.
    """

    def __init__(
        self,
        arm: Arm,
        port: str,
        rate: float,
        on_states: Callable[[int, Radians, Radians], None],
        on_goals: Callable[[int, Radians, Radians], None],
        role: Role = 'follower',
        write_eprom: bool = False,
        by_id: Path = port_path.BY_ID,
    ) -> None:
        self.period = Samples()  # seconds from answer to answer
        self.cycle = Samples()  # seconds that a cycle takes
        self.cycles = 0
        self.late = 0  # cycles that began after the next one was due
        self.reconnects = 0
        self.path = port
        self.absence = ''  # why the servos cannot be found again
        self.unguarded = ''  # why no guard watches
        self.settings: list[str] = []  # of the servos that differ from LeRobot's
        self._arm = arm
        self._interval = 1 / rate
        self._on_states = on_states
        self._on_goals = on_goals
        self._role = role
        self._write_eprom = write_eprom
        self._by_id = by_id
        self.given = port
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._port: SerialPort | None = None
        self._servos: Servos | None = None
        self._guard: Guard | None = None
        self.bus: Bus | None = None
        self._guarded = 0.0  # time.monotonic() when the guard was started
        self._powered = False  # torque was switched on, and not confirmed off since
        self._answered = 0  # time.monotonic_ns() of the last answer
        self._unanswered = 0  # of the first request since then that nobody answered; 0: none

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
                interval = self._interval if self._cycle() else _RETRY
                now = time.monotonic()
                self.cycle.add(now - begin)
                # A late cycle skips those that it missed, it does not catch up in a burst.
                deadline += interval
                if deadline < now:
                    self.late += 1
                    deadline = now + interval - (now - deadline) % interval
        finally:
            with self._lock:
                self._leave()

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()

    def set_torque(self, on: bool) -> str:
        """Switch the torque of all servos; returns what to tell the user.

        Torque comes on within torque_ramp.SECONDS, and this waits for it. Raises UserError when it
        is refused or fails.
        """
        text = self.switch_torque(on)
        while self._arm.ramping and not self._stop.is_set():
            time.sleep(self._interval)
        self.check_torque(on)
        return text

    def check_torque(self, on: bool) -> None:
        """Raise UserError if torque came on, and did not stay."""
        if on and self._arm.fault:
            raise UserError(self._arm.fault)

    def switch_torque(self, on: bool) -> str:
        """As set_torque, but torque is still coming on afterwards, while the arm is `ramping`."""
        with self._lock:
            if self._servos is None:
                raise UserError('the servos do not answer: check the power supply and the cables')
            if not on:
                self._arm.torque_off()
                self._confirm(self._servos.torque_off())
                # What a servo reported may have ended with its torque: arm/clear_fault asks next.
                self._try_step(self._servos)
                return 'torque is off'
            if self._arm.torque and all(self._arm.powered):
                return 'torque is on already'
            self._torque_on(self._servos)
            return 'torque is on'

    def _torque_on(self, servos: Servos) -> None:
        arm = self._arm
        try:
            states = self._heard(servos)
            arm.check_torque_on(states)
            self._powered = True
            goals = arm.calibration.inside(states.position)
            ramp = TorqueRamp(time.time_ns(), states.position, goals)
            servos.torque_on(goals, arm.torque_limits(ramp.part(time.time_ns())))
        except BusError as error:
            self._confirm(servos.torque_off())
            raise UserError(f'torque stays off: {error}') from error
        arm.torque_on(time.time_ns(), ramp)

    def _heard(self, servos: Servos) -> ServoStates:
        """Return the states of all; a computer with too much to do may take some attempts.

        Raises UserError when one does not answer for as long as is a fault with torque.
        """
        deadline = time.monotonic() + SILENCE
        while True:
            states, silent = servos.read()
            if not silent:
                return states
            if time.monotonic() >= deadline:
                raise UserError(
                    f'torque stays off: no answer from {servos.name(silent[0])}: check its cable'
                )

    def command(self, action: Callable[[Arm], None]) -> None:
        """Let `action` use the arm between two cycles, and write what comes of it at once."""
        with self._lock:
            action(self._arm)
            if self._servos is not None and self._arm.torque and not self._arm.ramping:
                try:
                    self._write(self._servos)
                except PortGone as error:
                    self._lose(str(error))

    def _cycle(self) -> bool:
        """Do one cycle; False when there are no servos."""
        with self._lock:
            if self._servos is None:
                return self._reconnect()
            self._try_step(self._servos)
            return self._servos is not None

    def _try_step(self, servos: Servos) -> None:
        try:
            self._step(servos)
        except PortGone as error:
            self._lose(str(error))

    def _step(self, servos: Servos) -> None:
        due = self.cycles % COMMANDS_EVERY == 0
        if due:
            self._set_guard()
        # A servo that was silent may come back without torque: no goal before that is known.
        commands = due or self._arm.paused
        asked = time.monotonic_ns()
        reading = servos.read(commands)
        answered, monotonic = time.time_ns(), time.monotonic_ns()
        self._arm.sense(answered, reading)
        if (command := self._write(servos)) is not None:
            self._show(command)
        self.cycles += 1
        if len(reading.silent) == len(self._arm.powered):
            # From when they were asked: a computer that stalled for as long did not ask.
            self._unanswered = self._unanswered or asked
            if monotonic - self._unanswered > SILENCE * 1e9:
                self._lose(
                    f'no answer from any servo for {SILENCE} s: check the cables and the power '
                    'supply'
                )
            return
        self.period.add((monotonic - self._answered) * 1e-9)
        self._answered, self._unanswered = monotonic, 0
        if not reading.silent:
            self._on_states(answered, self._arm.position, self._arm.speed)

    def _write(self, servos: Servos) -> Command | None:
        """Write what the arm wants now; return it."""
        command = self._arm.command(time.time_ns())
        if command is not None:
            if command.release:
                servos.torque_off(command.release)
            servos.write_goals(command.goals)
            servos.write_torque_limits(command.torque_limits)
            self._arm.written(command)
        return command

    def _show(self, command: Command) -> None:
        """Report the goals that were written; where a joint is limp, its position.

        Not while the arm cannot be moved: who hears a reference may send trajectories.
        """
        arm = self._arm
        if arm.motion is not None and arm.states is not None and not (arm.ramping or arm.paused):
            told = np.array(arm.states.position)
            told[list(command.goals)] = list(command.goals.values())
            self._on_goals(time.time_ns(), arm.calibration.radians(told), arm.motion.velocity)

    def _await_port(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not Path(self.given).exists() and time.monotonic() < deadline:
            if self._stop.wait(0.05):
                return

    def _connect(self, patience: float) -> None:
        """Open the port and find the servos; raises UserError.

        They are limp afterwards, except for an arm whose torque was on when they were lost.
        """
        self._port = self._open(patience)
        self.path = port_path.stable(self.path, self._by_id)
        self.bus = Bus(self._port)
        self._servos = servos = Servos(self.bus, self._arm.calibration)
        servos.find(patience)
        self._set_guard()
        if not self._arm.torque:
            self._powered = True  # perhaps: an earlier driver may have been killed
            self._confirm(servos.torque_off())
        try:
            ratings = self._check(self.bus)
            reading = servos.read(commands=True)
        except BusError as error:
            raise UserError(str(error)) from error
        if reading.silent:
            raise UserError(f'no answer from {servos.name(reading.silent[0])}: check its cable')
        self._answered, self._unanswered = time.monotonic_ns(), 0
        self._arm.connect(time.time_ns(), reading.states, ratings)
        self.absence = ''

    def _open(self, patience: float) -> SerialPort:
        """Open the port; the guard of a driver that was killed has it for some milliseconds."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return SerialPort(self.path)
            except UserError:
                if self._stop.wait(0.02) or time.monotonic() >= deadline:
                    raise

    def _check(self, bus: Bus) -> list[Rating]:
        """Compare the servos with the calibration; return their ratings.

        Raises UserError with the differences, unless told to write them.
        """
        calibration = self._arm.calibration
        stored = eprom.read(bus, calibration.ids)
        firmwares = [(values[FIRMWARE_MAJOR], values[FIRMWARE_MINOR]) for values in stored]
        bus.sync_reads = min(firmwares) >= _SYNC_READ_FIRMWARE
        differences = eprom.differences(calibration, stored, self._role)
        if differences and self._write_eprom and not self.reconnects:
            eprom.write(bus, differences)
            stored = eprom.read(bus, calibration.ids)
            differences = eprom.differences(calibration, stored, self._role)
        wrong = [str(each) for each in differences if each.grade is eprom.Grade.CALIBRATION]
        if wrong:
            raise UserError(
                f'the servos differ from the calibration file: {"; ".join(wrong)}. Give this '
                "arm's own file, or run calibrate: it writes the file's values into the servos, "
                'or makes new ones'
            )
        self.settings = [str(each) for each in differences]
        return [Rating(values[MAX_TORQUE], values[OVERLOAD_TORQUE] * 10) for values in stored]

    def _set_guard(self) -> None:
        """Have a guard that watches over this port."""
        guard = self._guard
        if guard is not None and guard.watching and guard.port == self.path:
            self.unguarded = ''
            return
        if guard is not None and not guard.watching:
            self.unguarded = 'the guard process against kill -9 ended; see what ended it'
        if self.unguarded and time.monotonic() - self._guarded < _GUARD_SECONDS:
            return
        if guard is not None:
            guard.dismiss()
        self._guarded = time.monotonic()
        try:
            self._guard = Guard(self.path, self._arm.calibration.ids)
        except OSError as error:
            self._guard = None
            self.unguarded = f'no guard process against kill -9: {error.strerror}'

    def _reconnect(self) -> bool:
        try:
            self._connect(patience=0.0)
        except UserError as error:
            self.absence = str(error)
            self._close()
            return False
        self.reconnects += 1
        return True

    def _lose(self, reason: str) -> None:
        """Give up the servos until they answer again.

        Torque stays as it is: the servos hold their last goals, which is where the arm is held
        again when they are found. A servo that lost its power is limp anyway.
        """
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
            elif self._powered:
                self._confirm([f'every servo of {self.path}'])
        finally:
            self._close()
            if self._guard is not None:
                if self._powered:
                    self._guard.alarm()
                else:
                    self._guard.dismiss()
                self._guard = None

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
