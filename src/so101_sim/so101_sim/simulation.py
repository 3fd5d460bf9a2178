"""The world and the arm's servos in real time."""

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import mujoco

from so101_driver.calibration import Calibration
from so101_node.error import UserError
from so101_sim import fault
from so101_sim.arm import Arm
from so101_sim.scene import TIMESTEP
from so101_sim.world import Floats, World

_STEP = round(TIMESTEP * 1e9)  # nanoseconds

# Physics runs in batches: the thread wakes 250 times a second, not 500, and what the bus says is
# at most this old.
_BATCH_SECONDS = 2 * TIMESTEP

# After a stall, this much (nanoseconds) is caught up; what is beyond is lost, and shows in the
# real-time factor.
_CATCH_UP = 100_000_000

# The real-time factor is of the last batches, about five seconds.
_FACTOR_BATCHES = 1250


class Snapshot(NamedTuple):
    """The world at one instant: nanoseconds of system time, every coordinate, the cube at rest.

    `seed` is that of the last reset.
    """

    time: int
    positions: Floats
    success: bool
    seed: int


class Port(Protocol):
    """The port of the arm's bus, which can be pulled out: a SerialDevice."""

    path: Path

    @property
    def plugged(self) -> bool: ...

    def unplug(self) -> None: ...

    def replug(self, rename: bool) -> None: ...


class Simulation:
    """Advances when told the time; the bus may be used from another thread at any moment.

    `port` is where the bus is to be had, if it is; its faults need it.
    """

    def __init__(
        self, model: mujoco.MjModel, calibration: Calibration, seed: int, now: int
    ) -> None:
        self.seed = seed
        self.seconds = 0.0  # simulated since the start
        self.port: Port | None = None
        self._world = World(model, seed)
        self._arm = Arm(calibration, self._world.angles)
        self._world_lock = threading.Lock()
        self._bus_lock = threading.Lock()  # held for microseconds, never while physics runs
        self._clock = now  # the state's time
        self._progress: deque[tuple[int, float]] = deque(maxlen=_FACTOR_BATCHES)

    @property
    def real_time_factor(self) -> float:
        """Return simulated by real seconds of late; 1.0 until that is known."""
        if len(self._progress) < 2:
            return 1.0
        (start, simulated), (end, simulated_end) = self._progress[0], self._progress[-1]
        return (simulated_end - simulated) / (end - start) * 1e9

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the bus's host, return the servos' replies."""
        with self._bus_lock:
            return self._arm.receive(data)

    @property
    def faults(self) -> list[str]:
        """The orders that give the faults which are on; see so101_sim.fault."""
        unplugged = self.port is not None and not self.port.plugged
        with self._bus_lock:
            return [fault.UNPLUG.name] * unplugged + [str(order) for order in self._arm.faults]

    def inject(self, text: str) -> str:
        """Do what an order says, and return what that means; see so101_sim.fault.

        Raises UserError when it is not understood, or when there is no port to pull out.
        """
        order = fault.parse(text)
        if order.fault.place is fault.Place.PORT:
            return self._inject_at_port(order)
        if order.fault is fault.CLEAR and self.port is not None:
            self.port.replug(rename=False)
        with self._bus_lock:
            self._arm.inject(order)
        return f'{order}: {order.fault.effect}' if order.on else str(order)

    def _inject_at_port(self, order: fault.Order) -> str:
        if self.port is None:
            raise UserError(f'fault {order}: the simulated bus has no port')
        if order.fault is fault.UNPLUG and order.on:
            self.port.unplug()
            return f'{order}: {self.port.path} is gone'
        self.port.replug(rename=order.fault is fault.REPLUG)
        return f'{order}: the port is {self.port.path}'

    def reset(self, place: tuple[float, float] | None = None) -> int:
        """Put the cube at the next seed's place, or at the given one, and return that seed."""
        with self._world_lock:
            self.seed += 1
            self._world.reset(self.seed, place)
            return self.seed

    def snapshot(self) -> Snapshot:
        with self._world_lock:
            world = self._world
            return Snapshot(self._clock, world.positions, world.success(), self.seed)

    def advance(self, now: int) -> None:
        """Run the physics up to `now`, in nanoseconds of system time."""
        # The second bound is for a system clock that was set back.
        self._clock = min(max(self._clock, now - _CATCH_UP), now + _CATCH_UP)
        while self._clock + _STEP <= now:
            self._step()
            self._clock += _STEP
            self.seconds += TIMESTEP
        self._progress.append((now, self.seconds))

    def _step(self) -> None:
        with self._world_lock:
            world = self._world
            with self._bus_lock:
                drive = self._arm.exchange(world.angles, world.speeds, world.torques, TIMESTEP)
            world.step(drive.targets, drive.strengths)


class RealTime:
    """The thread that advances a simulation with the machine's clock.

    It calls `ended` when it ends, by `close` or by a defect.
    """

    def __init__(self, simulation: Simulation, ended: Callable[[], None]) -> None:
        self._simulation = simulation
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='physics')
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._stop.is_set():
                self._simulation.advance(time.time_ns())
                due = max(due + _BATCH_SECONDS, time.monotonic() - _BATCH_SECONDS)
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            self._ended()
