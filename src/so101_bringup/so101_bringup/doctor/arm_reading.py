"""What an arm's servos say when they are only read: who answers, their tables, and the bus's time.

Nothing is written: no torque, no goal, no EPROM.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from so101_description.joints import JOINTS
from so101_driver import eprom
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.calibration import Calibration, Role
from so101_driver.motor_scan import QUICK, Found, scan
from so101_driver.registers import (
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    FULL_ADDRESS,
    FULL_SIZE,
    STATE_ADDRESS,
    STATE_SIZE,
    Register,
)
from so101_driver.serial_port import SerialPort

ROUNDS = 1000
_PATIENCE = 6.0  # seconds that these may take: a bus that loses much waits for much

# Firmware before it answers sync reads with corrupt frames.
SYNC_READ_FIRMWARE = (3, 10)


@dataclass(frozen=True)
class ArmReading:
    """One arm; its servos by id.

    `expected`: the ids of its joints, in their order. `tables`: bytes 0 to 70 of those that
    answered and share their id with no other. `round_trips`: seconds of each read of all states.
    """

    role: Role
    port: str
    expected: tuple[int, ...]
    heard: tuple[Found, ...]
    tables: Mapping[int, bytes] = field(default_factory=dict)
    round_trips: tuple[float, ...] = ()
    rounds: int = 0
    requests: Mapping[int, int] = field(default_factory=dict)
    failures: Mapping[int, int] = field(default_factory=dict)
    corrupt: int = 0
    gone: str = ''  # what was said when the port vanished meanwhile

    @property
    def missing(self) -> list[int]:
        heard = {found.id for found in self.heard}
        return [servo for servo in self.expected if servo not in heard]

    @property
    def shared(self) -> list[int]:
        return [found.id for found in self.heard if not found.clear]

    @property
    def foreign(self) -> list[int]:
        return [found.id for found in self.heard if found.id not in self.expected]

    @property
    def joints(self) -> dict[int, str]:
        """The joints whose tables were read, by id."""
        return {
            servo: name
            for servo, name in zip(self.expected, JOINTS, strict=True)
            if servo in self.tables
        }

    def get(self, servo: int, register: Register) -> int:
        return register.decode(self.tables[servo][register.address :])

    def firmware(self, servo: int) -> tuple[int, int]:
        return self.get(servo, FIRMWARE_MAJOR), self.get(servo, FIRMWARE_MINOR)

    def name(self, servo: int) -> str:
        if servo in self.expected:
            return f'{JOINTS[self.expected.index(servo)]} (id {servo})'
        return f'id {servo}'


def read(
    role: Role,
    port: SerialPort,
    calibration: Calibration | None,
    rounds: int = ROUNDS,
    seconds: Callable[[], float] = time.perf_counter,
) -> ArmReading:
    """Read an arm at an open port; without a calibration its ids are 1 to 6.

    `seconds` measures the round trips.
    """
    expected = calibration.ids if calibration else tuple(range(1, len(JOINTS) + 1))
    try:
        heard = tuple(scan(port, port.baudrate, QUICK))
    except OSError as error:
        return ArmReading(role, port.path, expected, (), gone=f'{error.strerror}')
    bus = Bus(port)
    tables: dict[int, bytes] = {}
    times: list[float] = []
    done, gone = 0, ''
    try:
        for found in heard:
            if found.id in expected and found.clear and (table := _table(bus, found.id)):
                tables[found.id] = table
        servos = [servo for servo in expected if servo in tables]
        firmware = [(tables[servo][0], tables[servo][1]) for servo in servos]
        bus.sync_reads = not firmware or min(firmware) >= SYNC_READ_FIRMWARE
        bus.requests.clear()
        bus.failures.clear()
        bus.corrupt = 0
        until = seconds() + _PATIENCE
        while servos and done < rounds and seconds() < until:
            done += 1
            started = seconds()
            try:
                bus.sync_read(servos, STATE_ADDRESS, STATE_SIZE)
            except PortGone:
                raise
            except BusError:
                continue
            times.append(seconds() - started)
    except PortGone as error:
        gone = str(error)
    return ArmReading(
        role,
        port.path,
        expected,
        heard,
        tables,
        tuple(times),
        done,
        dict(bus.requests),
        dict(bus.failures),
        bus.corrupt,
        gone,
    )


def _table(bus: Bus, servo: int) -> bytes | None:
    """Return a servo's EPROM and RAM, or None when it does not answer rightly."""
    try:
        kept = eprom.insist(lambda: bus.read(servo, 0, eprom.SIZE))
        state = eprom.insist(lambda: bus.read(servo, FULL_ADDRESS, FULL_SIZE))
    except PortGone:
        raise
    except BusError:
        return None
    return kept + state
