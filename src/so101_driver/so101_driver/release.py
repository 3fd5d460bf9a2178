"""Torque off, whatever stands in the way: how the driver, its guard and the commands let go."""

from collections.abc import Iterable

from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.registers import COMMAND_ADDRESS, COMMAND_SIZE, TORQUE_ENABLE

_ATTEMPTS = 3  # at one servo


def release(bus: Bus, servos: Iterable[int]) -> list[int]:
    """Switch torque off on servos, past every error; return those that did not confirm."""
    ids = list(servos)
    if not ids:
        return []
    try:
        # One packet for all: nobody waits for the answers of those before.
        bus.sync_write(TORQUE_ENABLE.address, dict.fromkeys(ids, b'\0'))
    except BusError:
        pass  # each is told again below
    return [servo for servo in ids if not _is_limp(bus, servo)]


def _is_limp(bus: Bus, servo: int) -> bool:
    for _ in range(_ATTEMPTS):
        try:
            bus.write(servo, TORQUE_ENABLE.address, b'\0')
        except PortGone:
            return False
        except BusError:
            pass  # perhaps only the acknowledgement was lost
        try:
            if bus.read(servo, COMMAND_ADDRESS, COMMAND_SIZE)[0] == 0:
                return True
        except BusError:
            pass
    return False
