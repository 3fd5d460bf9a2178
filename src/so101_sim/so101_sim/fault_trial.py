"""Trials of the driver on a simulated arm that breaks: each injects one fault and watches.

The simulation, its port, the driver's arm and its bus thread run in one process, without ROS. What
moved and who had torque is taken from the physics and the servos, not from what the driver says.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_driver.arm import Arm, State
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_driver.control_loop import ControlLoop
from so101_driver.monitor import Reading
from so101_driver.registers import TORQUE_ENABLE
from so101_driver.trajectory import Point, Trajectory
from so101_node.error import UserError
from so101_sim import scene
from so101_sim.fault import OVERLOAD
from so101_sim.fault_table import (
    CLEAR_FAULT,
    MOTION,
    TORQUE_OFF,
    TORQUE_ON,
    Cause,
    Outcome,
    Row,
    Situation,
)
from so101_sim.lockstep import BOUNDS
from so101_sim.serial_device import SWITCH_INTERVAL, SerialDevice
from so101_sim.simulation import RealTime, Simulation

Pose = NDArray[np.float64]  # radians, shape (6,)
Asked = Callable[[int], Pose]  # where the joints should be at a time

RATE = 200.0

# Seconds: what anything here may take on a busy machine.
TIMEOUT = 20.0

# Seconds that are watched after a fault, and before it at rest.
_AFTER = 1.0
_BEFORE = 0.3

# Where a trial begins, radians, and the swing from there of a trial in motion: the arm joints go
# there and back by this much, at 0.75 rad/s at most. The gripper is never lower than 4 cm, no
# joint needs more than a third of its torque, and a limp wrist_flex moves no other joint.
_START = np.array([-0.25, -1.25, 0.45, 0.65, -0.25, 0.5])
_SWING = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.0])
_SWING_RATE = 3.0  # rad/s of the cosine
_SWING_SECONDS = 3 * np.pi / _SWING_RATE  # there, back, there
_SWING_POINTS = 60
_STRIKE = 1.5 * np.pi / _SWING_RATE  # seconds after its start: fastest, on the way back

# A limp arm almost lies like this: in a moment it lies.
_FOLDED = np.array([-0.25, -1.81, 1.67, 1.07, -0.25, 0.5])

# The open gripper around the cube on the table, radians.
_AT_CUBE = np.array([0.0, 0.29, 0.077, 1.206, np.pi / 2, 0.7])
_OVER_CUBE = np.array([0.0, -0.1, 0.077, 1.206, np.pi / 2, 0.7])
_PRESS = 0.15  # radians that shoulder_lift goes on from there, into the table
_IN_GRIPPER = (0.255, -0.008, scene.CUBE_SIZE / 2)  # metres, of the cube
_FAR_AWAY = (0.1, -0.35, scene.CUBE_SIZE / 2)

# Seconds. A joint may be so far behind what was asked of it.
_LAG = 0.2

# N m s/rad of a hand that supports the arm: a limp joint sinks by less than 0.1 degrees/s.
_SUPPORT = 500.0

# rad/s of the way to a trial's start.
_PACE = 2.0


class Sample(NamedTuple):
    """The truth at one instant: ns of system time, the joints' angles, and who has torque."""

    time: int
    angles: Pose
    torque: tuple[bool, ...]


@dataclass(frozen=True)
class Result:
    """What was measured of a row.

    `cycles` and `seconds` until the driver noticed, or until the guard had let go of the arm;
    `motion` in degrees that a joint with torque made unasked, also while the fault was cleared,
    None when none had torque; `limp`
    are the joints without torque; `recovered` what the way out ended in.
    """

    row: Row
    cycles: int | None
    seconds: float | None
    motion: float | None
    limp: tuple[str, ...]
    outcome: Outcome
    paused: bool
    message: str
    recovered: str

    @property
    def misses(self) -> list[str]:
        """What is not as the table demands."""
        row = self.row
        found = []
        if row.within is not None and (self.cycles is None or self.cycles > row.within):
            found.append(f'noticed after {self.cycles} cycles, not within {row.within}')
        if self.motion is not None and self.motion > MOTION:
            found.append(f'{self.motion:.2f} degrees of motion, not at most {MOTION:g}')
        if self.limp != row.limp:
            found.append(f'limp: {self.limp}, not {row.limp}')
        if self.outcome is not row.outcome:
            found.append(f'{self.outcome}, not {row.outcome}')
        if row.steady and self.paused:
            found.append('it paused')
        if row.message not in self.message or bool(row.message) != bool(self.message):
            found.append(f'message {self.message!r}, not {row.message!r}')
        if self.recovered != State.HOLDING:
            found.append(f'{self.recovered} after the way out')
        return found


class _Witness(Simulation):
    """A simulation that remembers the truth while it has `samples`."""

    def __init__(self, model: mujoco.MjModel, calibration: Calibration) -> None:
        super().__init__(model, calibration, 0, time.time_ns())
        self._model = model
        self._free = model.dof_damping.copy()
        self._samples: list[Sample] | None = None
        self.put_cube(_FAR_AWAY)

    def advance(self, now: int) -> None:
        super().advance(now)
        if self._samples is not None:
            self._samples.append(self.truth(now))

    def truth(self, now: int) -> Sample:
        with self._bus_lock:
            servos = self._arm.servos
            bits = tuple(servo.read(TORQUE_ENABLE.address, 1) == b'\1' for servo in servos)
        with self._world_lock:
            return Sample(now, self._world.angles, bits)

    def record(self) -> list[Sample]:
        samples: list[Sample] = []
        self._samples = samples
        return samples

    def tripped(self) -> bool:
        with self._bus_lock:
            return any(OVERLOAD in servo.faults for servo in self._arm.servos)

    def support(self, on: bool) -> None:
        """Let a hand hold the arm, or leave it."""
        with self._world_lock:
            self._model.dof_damping[: len(JOINTS)] = _SUPPORT if on else self._free[: len(JOINTS)]

    def put_cube(self, place: tuple[float, float, float]) -> None:
        with self._world_lock:
            self._world.put_cube(place)


class _WatchedArm(Arm):
    """An arm that calls `watch` after each reading, in the bus thread."""

    watch: Callable[[], None] = staticmethod(lambda: None)

    def sense(self, now: int, reading: Reading) -> None:
        super().sense(now, reading)
        self.watch()

    def disconnect(self, reason: str) -> None:
        super().disconnect(reason)
        self.watch()


class _Driver:
    """A running driver without ROS; `call` is what its services do."""

    def __init__(self, calibration: Calibration, port: Path, by_id: Path) -> None:
        self.arm = _WatchedArm(calibration, BOUNDS)
        self.loop = ControlLoop(
            self.arm, str(port), RATE, lambda *_: None, lambda *_: None, by_id=by_id
        )
        self._pool = ThreadPoolExecutor(1, 'driver')
        self._ended: Future[None] = self._pool.submit(self.loop.run, TIMEOUT)
        self.wait(lambda: self.arm.connected, 'the driver finds the servos')

    @property
    def ended(self) -> bool:
        return self._ended.done()

    def close(self) -> None:
        """Let go of the arm; raises what the bus thread ended with."""
        self.loop.stop()
        self._pool.shutdown()
        self._ended.result()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if self.ended:
                self._ended.result()
            if time.monotonic() > deadline:
                raise TimeoutError(f'it did not happen that {what}; the arm is {self.arm.state}')
            time.sleep(0.002)

    def call(self, service: str) -> None:
        """Call a service by its name in the table; raises UserError when it refuses."""
        if service == CLEAR_FAULT:
            self.wait(lambda: not self.arm.paused, 'every servo is heard')  # so does the node
            self.loop.command(Arm.clear_fault)
        else:
            self.loop.set_torque({TORQUE_ON: True, TORQUE_OFF: False}[service])

    def accept(self, trajectory: Trajectory) -> None:
        self.loop.command(lambda arm: arm.accept(trajectory, time.time_ns()))

    def go(self, pose: Pose) -> None:
        """Go there gently, and wait until the arm holds there."""
        assert self.arm.motion is not None
        way = np.abs(pose - self.arm.motion.position).max()
        self.accept(self.way(pose, 0.2 + 2 * way / _PACE))
        self.wait(lambda: self.arm.state is State.HOLDING, 'the arm gets where it should begin')

    def way(self, pose: Pose, seconds: float) -> Trajectory:
        """Return the way to a pose, from one standstill to another, that starts now."""
        assert self.arm.motion is not None
        now, still = time.time_ns(), (0.0,) * len(JOINTS)
        begin = Point(now, tuple(self.arm.motion.position.tolist()), still, still)
        end = Point(now + round(seconds * 1e9), tuple(pose.tolist()), still, still)
        return Trajectory(now, (begin, end))

    def swing(self) -> Trajectory:
        """Begin to swing, and return how."""
        trajectory = _swing(time.time_ns())
        self.accept(trajectory)
        return trajectory


class Stand:
    """A simulated arm, its port, and a driver that holds it between two trials."""

    def __init__(self, folder: Path, calibration: Path) -> None:
        """Put the port into a folder; `calibration` is the simulated arm's file."""
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._file = calibration
        self._calibration = load(calibration)
        self._path, self._by_id = folder / 'ttyACM0', folder / 'by-id' / 'bus'
        self._simulation = _Witness(scene.build(), self._calibration)
        self._physics = RealTime(self._simulation, lambda: None)
        self._port = SerialDevice(self._path, self._simulation.receive, self._by_id)
        self._simulation.port = self._port
        self._driver: _Driver | None = None

    def close(self) -> None:
        try:
            self._end_driver()
        finally:
            self._port.close()
            self._physics.close()
            sys.setswitchinterval(self._switch_interval)

    def trial(self, row: Row) -> Result:
        """Do what a row says, and the way out; the arm is held again afterwards."""
        if row.orders == Cause.KILL:
            self._end_driver()
            return self._kill(row)
        driver = self._ready()
        if row.situation is Situation.TORQUE_ON:
            return self._torque_on(row, driver)
        if row.situation is Situation.PRESSING:
            return self._press(row, driver)
        if row.orders == Cause.GRIP:
            return self._grip(row, driver)
        return self._strike(row, driver)

    def _ready(self) -> _Driver:
        """Return a driver that holds the arm where trials begin, whatever was before."""
        self._inject('hot all 30, clear')
        driver = self._driver
        if driver is None or driver.ended:
            driver = self._driver = _Driver(self._calibration, self._port.path, self._by_id.parent)
        self._await_health(driver)
        if driver.arm.state is not State.HOLDING:
            self._call(driver, (TORQUE_OFF, CLEAR_FAULT, TORQUE_ON))
        driver.go(_START)
        return driver

    def _end_driver(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def _inject(self, orders: str) -> None:
        for order in filter(None, orders.split(', ')):
            self._simulation.inject(order)

    def _await_health(self, driver: _Driver) -> None:
        """Wait until the driver hears every servo again, and none reports anything."""
        arm = driver.arm

        def healthy() -> bool:
            return arm.connected and not arm.paused and not any(arm.states.status)  # type: ignore

        driver.wait(healthy, 'every servo is heard, and well')

    def _strike(self, row: Row, driver: _Driver) -> Result:
        samples = self._simulation.record()
        asked, seconds = _standing(_START), _BEFORE
        if row.situation is Situation.MOTION:
            asked, seconds = _along(driver.swing()), _STRIKE
        _await_samples(samples, seconds)
        notice = _Notice(driver, counted=row.outcome is Outcome.GOES_ON)
        struck = time.time_ns()
        self._inject(row.orders)
        _await_samples(samples, seconds + _AFTER)
        return self._result(row, driver, notice, unasked(samples, struck, asked))

    def _result(
        self, row: Row, driver: _Driver, notice: '_Notice', motion: float | None
    ) -> Result:
        arm = driver.arm
        limp, message = self._limp(), arm.fault
        outcome = Outcome.LATCHED if arm.fault else Outcome.GOES_ON
        samples, begin = self._simulation.record(), time.time_ns()
        recovered = self._way_out(row, driver)
        if row.way_out == (CLEAR_FAULT,):
            # The arm had torque all the while, and should not have moved for that.
            _await_samples(samples, (time.time_ns() - begin) * 1e-9 + _BEFORE)
            later = unasked(samples, begin, _standing(samples[0].angles))
            motion = max(motion or 0.0, later or 0.0)
        return Result(
            row,
            notice.cycles,
            notice.seconds,
            motion,
            limp,
            outcome,
            notice.paused,
            message,
            recovered,
        )

    def _limp(self) -> tuple[str, ...]:
        bits = self._simulation.truth(0).torque
        return tuple(joint for joint, bit in zip(JOINTS, bits, strict=True) if not bit)

    def _way_out(self, row: Row, driver: _Driver) -> str:
        """End the cause and call what the row says; return the state, or what was refused."""
        self._inject(row.cure)
        try:
            if TORQUE_OFF not in row.way_out:
                self._await_health(driver)
            self._call(driver, row.way_out)
            driver.wait(lambda: driver.arm.state is not State.ACTIVE, 'the arm stops')
        except (UserError, TimeoutError) as error:
            return str(error)
        return driver.arm.state

    def _call(self, driver: _Driver, services: tuple[str, ...]) -> None:
        """Call services as a person does, who supports an arm that has lost torque."""
        self._simulation.support(bool({TORQUE_OFF, TORQUE_ON} & set(services)))
        try:
            for service in services:
                driver.call(service)
        finally:
            self._simulation.support(False)

    def _torque_on(self, row: Row, driver: _Driver) -> Result:
        """Let go of the arm, wait until it lies still, and switch its torque on again."""
        driver.go(_FOLDED)
        driver.call(TORQUE_OFF)
        self._await_rest()
        self._inject(row.orders)
        samples = self._simulation.record()
        _await_samples(samples, 0.1)
        rest = samples[-1].angles
        outcome, message = Outcome.GOES_ON, ''
        struck = time.time_ns()
        try:
            driver.call(TORQUE_ON)
        except UserError as error:
            outcome, message = Outcome.REFUSED, str(error)
        _await_samples(samples, 0.1 + _AFTER)
        motion = unasked(samples, struck, _standing(rest))
        limp = self._limp()
        recovered = self._way_out(row, driver)
        return Result(row, None, None, motion, limp, outcome, False, message, recovered)

    def _await_rest(self) -> None:
        """Wait until a limp arm has come to lie."""
        samples = self._simulation.record()
        window = 50
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if len(samples) > window:
                ways = np.abs(samples[-1].angles - samples[-window].angles)
                if ways.max() < 1e-3:
                    return
            time.sleep(0.02)
        raise TimeoutError('the limp arm does not come to rest')

    def _press(self, row: Row, driver: _Driver) -> Result:
        """Press on the table until a servo trips."""
        driver.go(_OVER_CUBE)
        driver.go(_AT_CUBE)
        if row.orders == Cause.FORGIVEN:
            self._inject('forgiving all')
        pressed = _AT_CUBE + np.eye(len(JOINTS))[JOINTS.index('shoulder_lift')] * _PRESS
        driver.accept(driver.way(pressed, 0.5))
        driver.wait(self._simulation.tripped, 'a servo trips')
        notice = _Notice(driver)
        samples, struck = self._simulation.record(), time.time_ns()
        _await_samples(samples, _AFTER)
        motion = unasked(samples, struck, _standing(samples[0].angles))
        result = self._result(row, driver, notice, motion)
        driver.go(_OVER_CUBE)
        return result

    def _grip(self, row: Row, driver: _Driver) -> Result:
        """Close on the cube, for longer than a servo squeezes until it trips."""
        driver.go(_OVER_CUBE)
        driver.go(_AT_CUBE)
        self._simulation.put_cube(_IN_GRIPPER)
        closed = _AT_CUBE.copy()
        closed[GRIPPER] = URDF_LIMITS['gripper'][0]
        samples = self._simulation.record()
        trajectory = driver.way(closed, 0.6)
        driver.accept(trajectory)
        notice = _Notice(driver)
        driver.wait(lambda: driver.arm.gripper.on_object, 'the gripper holds the cube')
        # A servo trips after 2 s above a quarter of its torque.
        _await_samples(samples, 4.0)
        motion = unasked(samples, trajectory.start, _along(trajectory))
        if not driver.arm.gripper.on_object:
            raise TimeoutError('the gripper lost the cube')
        result = self._result(row, driver, notice, motion)
        driver.go(_AT_CUBE)
        self._simulation.put_cube(_FAR_AWAY)
        driver.go(_OVER_CUBE)
        return result

    def _kill(self, row: Row) -> Result:
        """Let a driver of its own process hold or swing the arm, and kill it."""
        self._inject('hot all 30, clear')
        moving = row.situation is Situation.MOTION
        words = self._path.with_name('killed.log')
        with _doomed(self._port.path, self._file, words) as (process, connection):
            self._simulation.support(True)
            _receive(connection)  # torque is on
            self._simulation.support(False)
            connection.send(moving)
            begun = _receive(connection)
            samples = self._simulation.record()
            seconds = _STRIKE if moving else _BEFORE
            _await_samples(samples, seconds)
            struck = time.time_ns()
            process.kill()
            deadline = time.monotonic() + TIMEOUT
            while len(self._limp()) < len(JOINTS) and time.monotonic() < deadline:
                time.sleep(0.001)
            released = (time.time_ns() - struck) * 1e-9
            self._simulation.support(True)
            while not words.read_text().endswith('\n') and time.monotonic() < deadline:
                time.sleep(0.01)
        asked = _along(_swing(begun)) if moving else _standing(_START)
        motion = unasked(samples, struck, asked)
        limp = self._limp()
        outcome = Outcome.LIMP if len(limp) == len(JOINTS) else Outcome.GOES_ON
        self._driver = _Driver(self._calibration, self._port.path, self._by_id.parent)
        recovered = self._way_out(row, self._driver)
        message = words.read_text().strip()
        return Result(row, None, released, motion, limp, outcome, False, message, recovered)


class _Notice:
    """When a driver first shows that something is wrong: in its state or, `counted`, its counters.

    `cycles` and `seconds` since this was made; None until then.
    """

    def __init__(self, driver: _Driver, counted: bool = False) -> None:
        self.cycles: int | None = None
        self.seconds: float | None = None
        self.paused = False
        self._driver = driver
        self._counted = counted
        self._before = self._count()
        self._begin = time.monotonic()
        self._cycle = driver.loop.cycles
        driver.arm.watch = self._watch

    def _watch(self) -> None:
        arm = self._driver.arm
        self.paused |= arm.paused
        counted = self._counted and self._count() != self._before
        if self.cycles is None and (arm.fault or arm.paused or counted):
            self.cycles = self._driver.loop.cycles + 1 - self._cycle
            self.seconds = time.monotonic() - self._begin

    def _count(self) -> int:
        bus = self._driver.loop.bus
        assert bus is not None
        return bus.timeouts + bus.retries + bus.corrupt + bus.foreign + bus.discarded


@contextmanager
def _doomed(
    port: Path, calibration: Path, words: Path
) -> Iterator[tuple[multiprocessing.process.BaseProcess, Connection]]:
    """Run a driver in a process of its own, see _drive; what it says goes to the file `words`."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_drive, args=(theirs, port, calibration, words))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def _receive(connection: Connection) -> int:
    if not connection.poll(TIMEOUT):
        raise TimeoutError('the driver that is to be killed does not get ready')
    return int(connection.recv())


def _drive(connection: Connection, port: Path, calibration: Path, words: Path) -> None:
    """Switch torque on and say so; hear whether to swing, and say when that began (ns).

    Holds the arm until it is killed, or the other side of the connection is gone.
    """
    with words.open('w') as stderr:
        os.dup2(stderr.fileno(), 2)
    driver = _Driver(load(calibration), port, port.parent / 'by-id')
    try:
        driver.call(TORQUE_ON)
        connection.send(0)
        moving = connection.recv()
        driver.go(_START)
        connection.send(driver.swing().start if moving else 0)
        connection.recv()
    except EOFError:
        pass  # whoever started this is gone
    finally:
        driver.close()


def _swing(start: int) -> Trajectory:
    """Return a swing from _START and back, which starts at a time."""
    times = np.linspace(0.0, _SWING_SECONDS, _SWING_POINTS + 1)[1:]
    points = []
    for seconds in times.tolist():
        angle = _SWING_RATE * seconds
        rows = (
            _START + _SWING / 2 * (1 - np.cos(angle)),
            _SWING / 2 * _SWING_RATE * np.sin(angle),
            _SWING / 2 * _SWING_RATE**2 * np.cos(angle),
        )
        at = start + round(seconds * 1e9)
        points.append(Point(at, *(tuple(row.tolist()) for row in rows)))
    return Trajectory(start, tuple(points))


def _standing(pose: Pose) -> Asked:
    return lambda now: pose


def _along(trajectory: Trajectory) -> Asked:
    return lambda now: trajectory.sample(now).position


def _await_samples(samples: list[Sample], seconds: float) -> None:
    """Wait until samples were taken for so long."""
    deadline = time.monotonic() + TIMEOUT
    while not samples or samples[-1].time - samples[0].time < seconds * 1e9:
        if time.monotonic() > deadline:
            raise TimeoutError('the physics do not go on')
        time.sleep(0.002)


def unasked(samples: list[Sample], struck: int, asked: Asked) -> float | None:
    """Return how far, in degrees, a joint with torque got from the way that was asked of it.

    That way is all that was asked since _LAG before the fault: a joint may follow it, or stop
    anywhere on it. What it was off it before the fault is left out. None when no joint had torque
    after the fault.
    """
    samples = samples.copy()  # the physics go on, and append to it
    times = np.array([sample.time for sample in samples])
    angles = np.array([sample.angles for sample in samples])
    torque = np.array([sample.torque for sample in samples])
    way = np.array([asked(sample.time) for sample in samples])
    after = times > struck
    if not torque[after].any():
        return None
    off = np.empty_like(angles)
    for index, now in enumerate(times):
        first = np.searchsorted(times, min(now, struck) - _LAG * 1e9)
        recent = way[first : index + 1]
        off[index] = np.maximum(
            recent.min(axis=0) - angles[index], angles[index] - recent.max(axis=0)
        )
    off = np.where(torque, np.maximum(off, 0.0), 0.0)
    usual = off[~after].max(axis=0, initial=0.0)
    return float(np.rad2deg(np.maximum(off[after].max(axis=0) - usual, 0.0).max()))
