"""Transactions on the servo bus: a deadline for each, and no reply taken for another's."""

import time
from collections.abc import Mapping, Sequence

from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_driver.serial_port import SerialPort

# Seconds from a request to its last reply. The longest takes 1.8 ms on the wire; the rest is for
# USB and for the scheduling of a busy host.
DEADLINE = 0.03


class BusError(Exception):
    """A request without its reply, or a port that is gone."""


class Bus:
    """The host's end of the bus. Not thread-safe.

    The protocol does not number its replies, so one that comes late could be taken for the answer
    to the next request, and every later one be shifted. Therefore input is dropped before each
    request, a reply counts only with the id and length asked for, and the newest one wins.

    An error byte is kept in `errors` by id; a servo that reports one still answers, so it is never
    an exception.
    """

    def __init__(self, port: SerialPort) -> None:
        self.timeouts = 0  # requests not answered in full by their deadline
        self.retries = 0
        self.errors: dict[int, int] = {}
        self._port = port
        self._decoder = Decoder()

    @property
    def corrupt(self) -> int:
        """Frames with a wrong checksum or length."""
        return self._decoder.corrupt

    def ping(self, servo: int) -> None:
        """Raise BusError unless the servo answers."""
        self._ask(Packet(servo, Instruction.PING, b''), [servo], 0)

    def read(self, servo: int, address: int, size: int) -> bytes:
        """Return `size` bytes of a servo's table."""
        request = Packet(servo, Instruction.READ, bytes((address, size)))
        return self._ask(request, [servo], size)[0]

    def write(self, servo: int, address: int, data: bytes) -> None:
        """Write to a servo's table and wait for its acknowledgement."""
        request = Packet(servo, Instruction.WRITE, bytes((address,)) + data)
        self._ask(request, [servo], 0, attempts=1)

    def sync_read(self, servos: Sequence[int], address: int, size: int) -> list[bytes]:
        """Return `size` bytes of each servo's table, in the order of `servos`."""
        request = Packet(BROADCAST, Instruction.SYNC_READ, bytes((address, size, *servos)))
        return self._ask(request, servos, size)

    def sync_write(self, address: int, data: Mapping[int, bytes]) -> None:
        """Write to the tables of several servos at once, equally many bytes each; no reply."""
        size = len(next(iter(data.values())))
        params = b''.join(bytes((servo,)) + value for servo, value in data.items())
        request = Packet(BROADCAST, Instruction.SYNC_WRITE, bytes((address, size)) + params)
        self._send(request)

    def _ask(
        self, request: Packet, servos: Sequence[int], size: int, attempts: int = 2
    ) -> list[bytes]:
        for attempt in range(attempts):
            self.retries += attempt > 0
            replies = self._replies(request, servos, size)
            if len(replies) == len(servos):
                return [replies[servo].params for servo in servos]
        silent = ', '.join(str(servo) for servo in servos if servo not in replies)
        raise BusError(f'no answer from servo {silent} within {DEADLINE * 1e3:.0f} ms')

    def _replies(self, request: Packet, servos: Sequence[int], size: int) -> dict[int, Packet]:
        """Send a request; return the replies that came in time, by id."""
        self._send(request)
        deadline = time.monotonic() + DEADLINE
        replies: dict[int, Packet] = {}
        latest = -1
        while len(replies) < len(servos):
            data = self._receive(deadline)
            if not data:
                self.timeouts += 1
                break
            for reply in self._decoder.feed(data):
                if reply.id not in servos or len(reply.params) != size:
                    continue
                place = servos.index(reply.id)
                if place <= latest:
                    # Servos answer in order: what came before is left of an earlier request.
                    replies.clear()
                latest = place
                replies[reply.id] = reply
                self.errors[reply.id] = reply.code
        return replies

    def _send(self, request: Packet) -> None:
        self._decoder.clear()
        try:
            self._port.discard()
            self._port.write(encode(request))
        except OSError as error:
            raise BusError(f'the servo port {self._port.path} is gone: {error}') from error

    def _receive(self, deadline: float) -> bytes:
        try:
            return self._port.read(deadline)
        except OSError as error:
            raise BusError(f'the servo port {self._port.path} is gone: {error}') from error
