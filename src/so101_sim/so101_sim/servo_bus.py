"""Servos on one bus: bytes of the host in, bytes of the servos out; pure.

What no servo would answer (a wrong checksum, a foreign id, nonsense parameters) gets silence.
"""

from collections.abc import Sequence

from so101_driver.packet import BROADCAST, Decoder, Instruction, Packet, encode
from so101_sim.servo import Servo


class ServoBus:
    def __init__(self, servos: Sequence[Servo]) -> None:
        self._servos = servos
        self._decoder = Decoder()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host; return the replies, in the order they go over the wire."""
        return b''.join(self._answer(packet) for packet in self._decoder.feed(data))

    def _answer(self, packet: Packet) -> bytes:
        match packet.code:
            case Instruction.PING:
                return b''.join(_reply(servo) for servo in self._addressed(packet.id))
            case Instruction.READ if len(packet.params) == 2 and packet.id != BROADCAST:
                return self._read(bytes((packet.id,)), *packet.params)
            case Instruction.WRITE if len(packet.params) >= 2:
                return self._write(packet)
            case Instruction.SYNC_READ if len(packet.params) >= 3 and packet.id == BROADCAST:
                return self._read(packet.params[2:], packet.params[0], packet.params[1])
            case Instruction.SYNC_WRITE if len(packet.params) >= 2 and packet.id == BROADCAST:
                self._sync_write(packet.params)
        return b''

    def _addressed(self, identity: int) -> list[Servo]:
        """Return the servos that listen to an id, in the order of their own ids."""
        heard = [servo for servo in self._servos if identity in (servo.id, BROADCAST)]
        return sorted(heard, key=lambda servo: servo.id)

    def _read(self, identities: bytes, address: int, size: int) -> bytes:
        replies = b''
        for identity in identities:
            for servo in self._addressed(identity):
                data = servo.read(address, size)
                replies += _reply(servo, data) if data else b''
        return replies

    def _write(self, packet: Packet) -> bytes:
        replies = b''
        for servo in self._addressed(packet.id):
            identity = servo.id
            servo.write(packet.params[0], packet.params[1:])
            if packet.id != BROADCAST and servo.replies_to_writes:
                replies += encode(Packet(identity, servo.status, b''))
        return replies

    def _sync_write(self, params: bytes) -> None:
        address, size = params[:2]
        for start in range(2, len(params) - size, size + 1):
            for servo in self._addressed(params[start]):
                servo.write(address, params[start + 1 : start + 1 + size])


def _reply(servo: Servo, data: bytes = b'') -> bytes:
    return encode(Packet(servo.id, servo.status, data))
