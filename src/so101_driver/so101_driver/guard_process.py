"""The guard's own program: `python -m so101_driver.guard_process PORT ID...`, see guard.py."""

import signal
import sys
import time
from collections.abc import Sequence

from so101_driver.bus import Bus, BusError
from so101_driver.guard import GOODBYE
from so101_driver.registers import TORQUE_ENABLE
from so101_driver.serial_port import SerialPort
from so101_node.error import UserError

# Seconds to go on trying: the port is busy until the kernel has buried the driver.
_PATIENCE = 2.0


def main() -> None:
    # Ctrl-C is for the driver; the guard ends when the driver has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    port, servos = sys.argv[1], [int(text) for text in sys.argv[2:]]
    if sys.stdin.buffer.read() == GOODBYE:
        return
    left = release(port, servos, time.monotonic() + _PATIENCE)
    if left:
        sys.exit(f'guard: the driver was killed, and torque may still be on: {left}')
    print('guard: the driver was killed; torque is off on every servo', file=sys.stderr)


def release(port: str, servos: Sequence[int], deadline: float) -> str:
    """Switch torque off on every servo; return '' or what hindered it until `deadline`.

    A port that another program has opened meanwhile is left alone: a driver that starts makes the
    arm limp by itself.
    """
    while True:
        hindrance = _attempt(port, servos)
        if not hindrance or time.monotonic() >= deadline:
            return hindrance
        time.sleep(0.05)


def _attempt(port: str, servos: Sequence[int]) -> str:
    try:
        opened = SerialPort(port)
    except UserError as error:
        return str(error)
    try:
        bus = Bus(opened)
        bus.sync_write(TORQUE_ENABLE.address, dict.fromkeys(servos, b'\0'))  # all at once first
        return ', '.join(f'servo {servo}' for servo in servos if not _is_limp(bus, servo))
    except BusError as error:
        return str(error)
    finally:
        opened.close()


def _is_limp(bus: Bus, servo: int) -> bool:
    try:
        bus.write(servo, TORQUE_ENABLE.address, b'\0')
    except BusError:
        pass  # an overloaded or distant servo may have heard it all the same: read it back
    try:
        return bus.read(servo, TORQUE_ENABLE.address, TORQUE_ENABLE.size) == b'\0'
    except BusError:
        return False


if __name__ == '__main__':
    main()
