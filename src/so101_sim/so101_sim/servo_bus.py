"""Servos on one bus: bytes of the host in, bytes of the servos out; pure.

What no servo would answer (a wrong checksum, a foreign id, nonsense parameters) gets silence.
Servos that share an id answer at once, and pull one line: it carries the AND of their bytes.
"""

from collections.abc import Sequence
from itertools import zip_longest

from so101_driver.packet import BROADCAST, HEADER, Decoder, Instruction, Packet, checksum
from so101_sim.fault import OLD_FIRMWARE
from so101_sim.servo import Servo
from so101_sim.wire import Late, Wire

_NOBODY: list[Servo] = []


class ServoBus:
    """`servos` may come and go between two requests; `wire` spoils the replies when told to."""

    def __init__(self, servos: Sequence[Servo]) -> None:
        self.servos = list(servos)
        self.wire = Wire()
        self._decoder = Decoder()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host; return the replies, in the order they go over the wire.

        They are of the type Late when one of them is.
        """
        replies = [self._answer(packet) for packet in self._decoder.feed(data)]
        if not self.wire.faults:
            return b''.join(replies)
        carried = [self.wire.carry(reply) for reply in replies]
        kind = Late if any(isinstance(reply, Late) for reply in carried) else bytes
        return kind(b''.join(carried))

    def _answer(self, packet: Packet) -> bytes:
        params = packet.params
        match packet.code:
            case Instruction.PING:
                return self._ping(packet.id)
            case Instruction.READ if len(params) == 2 and packet.id != BROADCAST:
                return _together(
                    [_read(servo, *params) for servo in self._listeners().get(packet.id, _NOBODY)]
                )
            case Instruction.WRITE if len(params) >= 2:
                return self._write(packet)
            case Instruction.SYNC_READ if len(params) >= 3 and packet.id == BROADCAST:
                return self._sync_read(params)
            case Instruction.SYNC_WRITE if len(params) >= 2 and packet.id == BROADCAST:
                self._sync_write(params)
        return b''

    def _listeners(self) -> dict[int, list[Servo]]:
        """Return the servos that hear the host, by id."""
        listeners: dict[int, list[Servo]] = {}
        for servo in self.servos:
            if not servo.silent:
                listeners.setdefault(servo.id, []).append(servo)
        return listeners

    def _ping(self, identity: int) -> bytes:
        """Answer for one id, or for all in the order of their ids."""
        listeners = self._listeners()
        heard = sorted(listeners) if identity == BROADCAST else [identity]
        return b''.join(
            _together([_frame(servo.id, servo.status) for servo in listeners.get(one, _NOBODY)])
            for one in heard
        )

    def _write(self, packet: Packet) -> bytes:
        listeners = self._listeners()
        if packet.id == BROADCAST:
            for servos in listeners.values():
                for servo in servos:
                    servo.write(packet.params[0], packet.params[1:])
            return b''
        replies = []
        for servo in listeners.get(packet.id, _NOBODY):
            servo.write(packet.params[0], packet.params[1:])
            if servo.replies_to_writes:
                replies.append(_frame(packet.id, servo.status))
        return _together(replies)

    def _sync_read(self, params: bytes) -> bytes:
        listeners = self._listeners()
        address, size = params[:2]
        replies = b''
        for identity in params[2:]:
            servos = listeners.get(identity, _NOBODY)
            replies += _together([_sync_reply(servo, address, size) for servo in servos])
        return replies

    def _sync_write(self, params: bytes) -> None:
        listeners = self._listeners()
        address, size = params[:2]
        for start in range(2, len(params) - size, size + 1):
            for servo in listeners.get(params[start], _NOBODY):
                servo.write(address, params[start + 1 : start + 1 + size])


def _read(servo: Servo, address: int, size: int) -> bytes:
    data = servo.read(address, size)
    return _frame(servo.id, servo.status, data) if data else b''


def _sync_reply(servo: Servo, address: int, size: int) -> bytes:
    reply = _read(servo, address, size)
    if reply and OLD_FIRMWARE in servo.faults:
        return reply[:-1] + bytes((reply[-1] ^ 0xFF,))
    return reply


def _frame(identity: int, status: int, data: bytes = b'') -> bytes:
    body = bytes((identity, len(data) + 2, status)) + data
    return HEADER + body + bytes((checksum(body),))


def _together(replies: list[bytes]) -> bytes:
    """Return what the line carries when servos say these at the same time."""
    if len(replies) == 1:
        return replies[0]
    line = b''
    for reply in replies:
        line = bytes(a & b for a, b in zip_longest(line, reply, fillvalue=0xFF))
    return line
