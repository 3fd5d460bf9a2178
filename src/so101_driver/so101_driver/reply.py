"""Which of the bytes that follow a request are its answer; pure."""

from collections.abc import Sequence
from struct import Struct

from so101_driver.packet import HEADER, Decoder, Packet

OVERHEAD = 6  # bytes of a frame beside its parameters


class Expected:
    """The frames that answer a request: one of each of `servos`, in this order, `size` bytes each.

    Raises ValueError when a servo is asked twice.
    """

    def __init__(self, servos: Sequence[int], size: int) -> None:
        if len(set(servos)) < len(servos):
            raise ValueError(f'a servo is asked twice in {list(servos)}')
        self.servos = tuple(servos)
        self.size = size
        self.length = len(servos) * (size + OVERHEAD)
        self._layout = Struct(f'<{f"4sB{size}sB" * len(servos)}')
        self._heads = tuple(HEADER + bytes((servo, size + 2)) for servo in servos)
        self._sums = tuple(servo + size + 2 for servo in servos)

    def match(self, data: bytes) -> tuple[tuple[int, ...], tuple[bytes, ...]] | None:
        """Return error bytes and parameters when `data` (`length` bytes) is these frames alone."""
        fields = self._layout.unpack(data)
        if fields[::4] != self._heads:
            return None
        codes, blocks = fields[1::4], fields[2::4]
        for head, code, block, check in zip(self._sums, codes, blocks, fields[3::4], strict=True):
            # The checksum is the inverted sum of the rest, so that all together give 255.
            if (head + code + sum(block) + check) & 0xFF != 0xFF:
                return None
        return codes, blocks


class Answer:
    """Collects what comes after one request; what is not its answer is counted and left.

    `blocks` are the parameters and `codes` the error bytes of those who answered, by servo. A
    frame counts only with an id and the size asked for. Servos answer in the order asked, so a
    frame out of this order shows that those before it are left of an earlier request: they are
    dropped, and the newest win.
    """

    def __init__(self, expected: Expected) -> None:
        self.blocks: dict[int, bytes] = {}
        self.codes: dict[int, int] = {}
        self.foreign = 0  # good frames that are not part of the answer
        self.received = 0  # bytes
        self._expected = expected
        self._waiting = b''
        self._decoder: Decoder | None = None
        self._place = -1  # of the last frame taken

    @property
    def corrupt(self) -> int:
        """Frames with a wrong checksum or length."""
        return self._decoder.corrupt if self._decoder else 0

    @property
    def complete(self) -> bool:
        return len(self.blocks) == len(self._expected.servos)

    def feed(self, data: bytes) -> bool:
        """Take received bytes; True when the last servo has answered: no more will come."""
        self.received += len(data)
        if self._decoder is None:
            data = self._waiting + data
            expected = self._expected
            if len(data) < expected.length:
                self._waiting = data
                return False
            if len(data) == expected.length and (found := expected.match(data)):
                self.codes = dict(zip(expected.servos, found[0], strict=True))
                self.blocks = dict(zip(expected.servos, found[1], strict=True))
                return True
            self._decoder = Decoder()
        self._take(self._decoder.feed(data))
        return self._place == len(self._expected.servos) - 1

    def end(self) -> None:
        """No more bytes are waited for: take the frames of an answer that is not whole."""
        if self._decoder is None and not self.complete:
            self._decoder = Decoder()
            self._take(self._decoder.feed(self._waiting))

    def _take(self, packets: Sequence[Packet]) -> None:
        expected = self._expected
        for servo, code, params in packets:
            if servo not in expected.servos or len(params) != expected.size:
                self.foreign += 1
                continue
            place = expected.servos.index(servo)
            if place <= self._place:
                self.foreign += len(self.blocks)
                self.blocks.clear()
                self.codes.clear()
            self._place = place
            self.blocks[servo] = params
            self.codes[servo] = code
