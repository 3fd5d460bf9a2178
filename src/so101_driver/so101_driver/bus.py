"""Transactions on the servo bus: a deadline for each, and no reply taken for another's."""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from so101_driver.packet import BROADCAST, Instruction, Packet, encode
from so101_driver.reply import Answer, Expected
from so101_driver.serial_port import SerialPort

# Seconds that an answer may take beyond its time on the wire: return delays are 0.5 ms a servo at
# most (register 7), a USB adapter adds 1 to 2 ms, and a computer that has too much to do 10.
MARGIN = 0.015

_BITS = 10  # on the wire for each byte

# Requests after failures are told apart by so many lengths. A failure takes 17 ms, so an answer
# may be 250 ms late though nothing else is heard meanwhile.
_LENGTHS = 16

# Seconds after which no late answer is expected any more.
_CALM = 1.0


class BusError(Exception):
    """A request without its answer. `silent` did not answer rightly, `replies` are of the rest."""

    def __init__(
        self,
        message: str,
        silent: Sequence[int] = (),
        replies: Mapping[int, bytes] | None = None,
    ) -> None:
        super().__init__(message)
        self.silent = tuple(silent)
        self.replies = dict(replies or {})


class PortGone(BusError):
    """The port cannot be read or written any more: it was unplugged."""


class Bus:
    """The host's end of the bus. Not thread-safe.

    The protocol does not number its replies, so one that comes late could be taken for the answer
    to the next request, and every later one be shifted. Against this:

    - what came before a request is dropped when it is sent;
    - a frame counts only with the id and the length asked for, and in the order asked;
    - after a request that was not answered rightly, the next ones read more than they need, 1 to
      15 bytes, more after each failure: a late answer has the wrong length. A second without a
      failure ends this;
    - among frames of one length that arrive together, the newest win.

    The acknowledgement of a write and a ping's answer have no length to tell them apart: whoever
    must know that a value arrived reads it back.

    An error byte is kept in `errors` by id; a servo that reports one still answers, so it is never
    an exception. Every method may raise BusError, and PortGone when the port vanished.
    """

    def __init__(self, port: SerialPort) -> None:
        # Firmware before 3.10 answers sync reads with corrupt frames: False asks one by one.
        self.sync_reads = True
        self.timeouts = 0  # requests not answered in full by their deadline
        self.retries = 0  # requests sent because an earlier one was not answered
        self.corrupt = 0  # frames with a wrong checksum or length
        self.foreign = 0  # good frames that were not asked for
        self.discarded = 0  # bytes that came when none were expected
        self.errors: dict[int, int] = {}
        self.requests: dict[int, int] = {}  # by servo
        self.failures: dict[int, int] = {}  # by servo; requests not answered rightly
        self._port = port
        self._byte = _BITS / port.baudrate
        self._extra = 0  # bytes read beyond those asked for
        self._disturbed = 0.0  # time.monotonic() of the last answer that was not whole

    def ping(self, servo: int) -> None:
        """Raise BusError unless the servo answers."""
        self._one(_ping(servo), 2)

    def read(self, servo: int, address: int, size: int) -> bytes:
        """Return `size` bytes of a servo's table."""
        block = self._read(servo, address, size, 2)
        if block is None:
            raise _silence((servo,), {})
        return block

    def write(self, servo: int, address: int, data: bytes) -> None:
        """Write to a servo's table and wait for its acknowledgement; not repeated."""
        frame = encode(Packet(servo, Instruction.WRITE, bytes((address,)) + data))
        self._one(_Request(frame, Expected((servo,), 0), 0), 1)

    def sync_read(self, servos: Sequence[int], address: int, size: int) -> list[bytes]:
        """Return `size` bytes of each servo's table, in the order of `servos`.

        Those that do not answer rightly are asked once more, one by one. The BusError about those
        that are silent then, too, has the replies of the others.
        """
        asked = tuple(servos)
        replies: dict[int, bytes] = {}
        if self.sync_reads:
            replies, heard = self._sync_read(asked, address, size)
            if not heard:  # perhaps the request itself was lost
                self.retries += 1
                replies, heard = self._sync_read(asked, address, size)
            if not heard:
                raise _silence(asked, {})
        if len(replies) < len(asked):
            for servo in asked:
                if servo not in replies:
                    self.retries += self.sync_reads
                    block = self._read(servo, address, size, 1 if self.sync_reads else 2)
                    if block is not None:
                        replies[servo] = block
            silent = [servo for servo in asked if servo not in replies]
            if silent:
                raise _silence(silent, replies)
        return [replies[servo] for servo in asked]

    def sync_write(self, address: int, data: Mapping[int, bytes]) -> None:
        """Write to the tables of several servos at once, equally many bytes each; no reply."""
        sizes = set(map(len, data.values()))
        if len(sizes) != 1:
            raise ValueError('a sync write takes servos, and equally many bytes for each')
        params = b''.join([bytes((servo,)) + value for servo, value in data.items()])
        head = bytes((address, *sizes))
        frame = encode(Packet(BROADCAST, Instruction.SYNC_WRITE, head + params))
        try:
            self._port.write(frame)
        except OSError as error:
            raise self._gone(error) from error

    def _sync_read(
        self, servos: tuple[int, ...], address: int, size: int
    ) -> tuple[dict[int, bytes], bool]:
        """Return the blocks that came, and whether anything came at all."""
        request = _sync_read(servos, address, size, self._more())
        answer = self._exchange(request)
        return request.blocks(answer, size), answer.received > 0

    def _read(self, servo: int, address: int, size: int, attempts: int) -> bytes | None:
        for attempt in range(attempts):
            self.retries += attempt > 0
            request = _read(servo, address, size, self._more())
            if blocks := request.blocks(self._exchange(request), size):
                return blocks[servo]
        return None

    def _one(self, request: '_Request', attempts: int) -> None:
        for attempt in range(attempts):
            self.retries += attempt > 0
            if self._exchange(request).complete:
                return
        raise _silence(request.expected.servos, {})

    def _more(self) -> int:
        """Return how many bytes more than needed the next request reads."""
        if self._extra and time.monotonic() - self._disturbed > _CALM:
            self._extra = 0
        return self._extra

    def _exchange(self, request: '_Request') -> Answer:
        """Send a request and return what came in time."""
        port, expected = self._port, request.expected
        answer = Answer(expected)
        try:
            self.discarded += port.discard()
            port.write(request.frame)
            deadline = time.monotonic() + MARGIN
            deadline += (len(request.frame) + expected.length) * self._byte
            while True:
                # What came is read also after the deadline: this process may have been held up.
                last = time.monotonic() >= deadline
                data = port.read(deadline)
                if data and answer.feed(data):
                    break
                if last or not data:
                    self.timeouts += 1
                    break
        except OSError as error:
            raise self._gone(error) from error
        answer.end()
        if not answer.complete:
            self._disturbed = time.monotonic()
            self._extra = self._extra % (_LENGTHS - 1) + 1
        self._count(answer, expected.servos)
        return answer

    def _count(self, answer: Answer, servos: tuple[int, ...]) -> None:
        self.corrupt += answer.corrupt
        self.foreign += answer.foreign
        self.errors.update(answer.codes)
        requests, failures = self.requests, self.failures
        for servo in servos:
            requests[servo] = requests.get(servo, 0) + 1
            if servo not in answer.blocks:
                failures[servo] = failures.get(servo, 0) + 1

    def _gone(self, error: OSError) -> PortGone:
        return PortGone(
            f'the servo port {self._port.path} is gone ({error.strerror}): check its USB cable'
        )


class _Request(NamedTuple):
    """A frame to send, and what answers it; its blocks begin with `skip` bytes not asked for."""

    frame: bytes
    expected: Expected
    skip: int

    def blocks(self, answer: Answer, size: int) -> dict[int, bytes]:
        if self.expected.size == size:
            return answer.blocks
        part = slice(self.skip, self.skip + size)
        return {servo: block[part] for servo, block in answer.blocks.items()}


@lru_cache
def _ping(servo: int) -> _Request:
    return _Request(encode(Packet(servo, Instruction.PING, b'')), Expected((servo,), 0), 0)


@lru_cache(maxsize=1024)
def _read(servo: int, address: int, size: int, extra: int) -> _Request:
    # Before the block, where there are registers; those that end the table have none behind them.
    start = max(0, address - extra)
    params = bytes((start, size + extra))
    frame = encode(Packet(servo, Instruction.READ, params))
    return _Request(frame, Expected((servo,), size + extra), address - start)


@lru_cache(maxsize=1024)
def _sync_read(servos: tuple[int, ...], address: int, size: int, extra: int) -> _Request:
    start = max(0, address - extra)
    params = bytes((start, size + extra, *servos))
    frame = encode(Packet(BROADCAST, Instruction.SYNC_READ, params))
    return _Request(frame, Expected(servos, size + extra), address - start)


def _silence(servos: Sequence[int], replies: Mapping[int, bytes]) -> BusError:
    names = ', '.join(map(str, servos))
    return BusError(
        f'no answer from servo {names} in time: check cables and power supply', servos, replies
    )
