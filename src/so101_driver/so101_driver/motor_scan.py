"""Who answers on a serial port: every id asked by itself, and each answer examined.

The bus takes only what it asked for; here what else comes tells of two motors with one id.
"""

import time
from typing import NamedTuple

from so101_driver.packet import MAX_ID, Decoder, Instruction, Packet, encode
from so101_driver.registers import STATE_ADDRESS, STATE_SIZE
from so101_driver.serial_port import SerialPort

# Bits per second by the value of BAUD_RATE. Source: Feetech's memory table of the STS series.
BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)

# Seconds a motor may take beyond the time on the wire: its return delay is 0.5 ms at most, an USB
# adapter adds 1 or 2 ms. The short wait makes a scan of all ids take two seconds, but a busy host
# may miss a motor with it.
QUICK = 0.006
PATIENT = 0.03

# After an answer, how long a second motor's answer to the same request is waited for.
_ECHO = 0.003

# An answered id is asked for its state so many times. Two motors' positions, voltages and delays
# differ, so their answers collide.
_EXAMINATIONS = 5

_PING_SIZE = 6  # bytes, the request and the answer alike
_STATE_REQUEST_SIZE = 8
_BITS = 10  # on the wire, for each byte


class Found(NamedTuple):
    """An id that answers. `clear` is False when several motors share it, or the wire is bad."""

    id: int
    clear: bool


def scan(port: SerialPort, baudrate: int, patience: float) -> list[Found]:
    """Return who answers at the port's rate; raises OSError when the port is gone."""
    heard: set[int] = set()
    for servo in range(MAX_ID + 1):
        heard |= _heard(port, baudrate, servo, patience)
    found = sorted(heard)
    clear = [_examine(port, baudrate, servo) for servo in found]
    return [Found(servo, ok) for servo, ok in zip(found, clear, strict=True) if ok is not None]


def _heard(port: SerialPort, baudrate: int, servo: int, patience: float) -> set[int]:
    """Ask one id; return who answers, which may be the one asked before, late."""
    request = Packet(servo, Instruction.PING, b'')
    answer = _exchange(port, request, patience + 2 * _PING_SIZE * _BITS / baudrate)
    if not answer:
        return set()
    return {packet.id for packet in Decoder().feed(answer) if packet.id <= MAX_ID} or {servo}


def _examine(port: SerialPort, baudrate: int, servo: int) -> bool | None:
    """Return whether the answers of an id are one motor's, or None when there are none."""
    size = STATE_SIZE + _PING_SIZE
    seconds = PATIENT + (size + _STATE_REQUEST_SIZE) * _BITS / baudrate
    request = Packet(servo, Instruction.READ, bytes((STATE_ADDRESS, STATE_SIZE)))
    answers = [_exchange(port, request, seconds, size) for _ in range(_EXAMINATIONS)]
    if not any(answers):
        return None  # only noise, or the late answer of another id
    spoilt = sum(not _is_state(answer, servo) for answer in answers)
    return spoilt <= 1


def _is_state(answer: bytes, servo: int) -> bool:
    packets = Decoder().feed(answer)
    return len(answer) == STATE_SIZE + _PING_SIZE and [packet.id for packet in packets] == [servo]


def _exchange(port: SerialPort, request: Packet, seconds: float, size: int = _PING_SIZE) -> bytes:
    """Send a request; return all that comes within `seconds`, or soon after `size` bytes."""
    port.discard()
    port.write(encode(request))
    deadline = time.monotonic() + seconds
    answer = b''
    while data := port.read(deadline):
        answer += data
        if len(answer) >= size:
            deadline = min(deadline, time.monotonic() + _ECHO)
    return answer
