"""The guard's own program: `python -m so101_driver.guard_process PORT ID...`, see guard.py."""

import signal
import sys
import time
from collections.abc import Sequence

from so101_driver.bus import Bus
from so101_driver.guard import GOODBYE
from so101_driver.release import release
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
    left = let_go(port, servos, time.monotonic() + _PATIENCE)
    if left:
        sys.exit(f'guard: the driver was killed, and torque may still be on: {left}')
    print('guard: the driver was killed; torque is off on every servo', file=sys.stderr)


def let_go(port: str, servos: Sequence[int], deadline: float) -> str:
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
        return ', '.join(f'servo {servo}' for servo in release(Bus(opened), servos))
    finally:
        opened.close()


if __name__ == '__main__':
    main()
