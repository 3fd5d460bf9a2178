"""The wire between the servos and the host, and what it does to their replies; pure."""

from random import Random

from so101_driver.packet import Packet, encode
from so101_sim.fault import CORRUPT, FOREIGN, LATE, LOST, TRUNCATED, Fault


class Late(bytes):
    """A reply that comes LATE_SECONDS after the others of its time."""


class Wire:
    """Spoils replies while it has `faults`: each with the number of replies left to it."""

    def __init__(self) -> None:
        self.faults: dict[Fault, float] = {}
        self._random = Random(0)
        self._before = b''  # the reply to the request before, as the servos gave it
        self._foreign = 0  # packets so far

    def carry(self, reply: bytes) -> bytes:
        """Return what the host gets of the reply to one request; a Late one comes later."""
        if not reply:
            return b''
        before, self._before = self._before, reply
        if self._strikes(LOST):
            return b''
        if self._strikes(TRUNCATED):
            reply = reply[: self._random.randrange(1, len(reply))]
        if self._strikes(CORRUPT):
            bit = self._random.randrange(8 * len(reply))
            wrong = bytearray(reply)
            wrong[bit // 8] ^= 1 << bit % 8
            reply = bytes(wrong)
        if self._strikes(FOREIGN):
            reply = self._foreigner(before) + reply
        return Late(reply) if self._strikes(LATE) else reply

    def _strikes(self, fault: Fault) -> bool:
        left = self.faults.get(fault)
        if left is None:
            return False
        if left > 1:
            self.faults[fault] = left - 1
        else:
            del self.faults[fault]
        return True

    def _foreigner(self, before: bytes) -> bytes:
        """Return a well-formed packet that was not asked for."""
        identity, params = self._before[2], self._before[5 : self._before[3] + 3]
        kind = self._foreign % 3
        self._foreign += 1
        if kind == 0:
            return encode(Packet(identity % 6 + 1, 0, params))
        if kind == 1:
            return encode(Packet(identity, 0, params + b'\0\0'))
        return before
