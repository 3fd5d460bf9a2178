"""The wire format of Feetech's half-duplex serial bus, both directions; pure.

    FF FF ID LEN CODE PARAMS... CHECKSUM

LEN counts CODE, PARAMS and CHECKSUM; CHECKSUM is the inverted low byte of the sum of ID to the
last parameter. CODE is an instruction from the host, or the error byte of a servo's reply.
"""

from enum import IntEnum
from typing import NamedTuple

HEADER = b'\xff\xff'
BROADCAST = 0xFE
MAX_ID = 0xFC


class Instruction(IntEnum):
    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


class Packet(NamedTuple):
    """One frame: `code` is the instruction, or the error byte of a reply."""

    id: int
    code: int
    params: bytes


def encode(packet: Packet) -> bytes:
    """Return the frame of a packet. Raises ValueError when its parameters do not fit one."""
    if len(packet.params) > 253:
        raise ValueError(f'{len(packet.params)} parameter bytes do not fit a frame (253)')
    body = bytes((packet.id, len(packet.params) + 2, packet.code)) + packet.params
    return HEADER + body + bytes((checksum(body),))


def checksum(body: bytes | bytearray) -> int:
    """Return the checksum of ID, LEN, CODE and PARAMS."""
    return ~sum(body) & 0xFF


class Decoder:
    """Finds frames in a byte stream, past garbage, partial and corrupt frames."""

    def __init__(self) -> None:
        self.corrupt = 0  # frames with a wrong checksum or length, skipped
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Take received bytes; return the packets they complete, in order."""
        buffer = self._buffer
        buffer += data
        packets: list[Packet] = []
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: len(buffer) - buffer.endswith(b'\xff')]
                return packets
            del buffer[:start]
            if len(buffer) < 4:
                return packets
            identity, length = buffer[2], buffer[3]
            if identity == 0xFF or length < 2:
                # Three FF in a row: the frame may start one byte later.
                self.corrupt += identity != 0xFF
                del buffer[:1]
                continue
            if len(buffer) < length + 4:
                return packets
            if checksum(buffer[2 : length + 3]) == buffer[length + 3]:
                packets.append(Packet(identity, buffer[4], bytes(buffer[5 : length + 3])))
                del buffer[: length + 4]
            else:
                self.corrupt += 1
                del buffer[:2]
