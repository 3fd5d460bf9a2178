"""What can go wrong with a simulated camera, and the text that orders it; pure.

    camera wrist silent        camera overhead black        camera wrist well

It comes on the topic of the arm's faults, see fault.py: the first word tells whose it is.
"""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_description.cameras import CAMERAS
from so101_node.error import UserError

Pixels = NDArray[np.uint8]

CAMERA = 'camera'
WELL = 'well'


class CameraFault(StrEnum):
    SILENT = 'silent'
    FROZEN = 'frozen'
    BLACK = 'black'
    HALF = 'half'
    WHITE = 'white'
    SMALL = 'small'
    BURNT = 'burnt'
    DRIFT = 'drift'
    TINT = 'tint'
    LATE = 'late'
    AHEAD = 'ahead'


# Images by which it is late, and seconds by which stamps are ahead.
_LATE = 10
_AHEAD = 0.1

# What is left of its brightness with each image, and at last. Not brighter: a light table would be
# white all over.
_RAMP, _DRIFT = 0.975, 0.6

# What is left of its red.
_TINT = 0.7

EFFECTS = {
    CameraFault.SILENT: 'no message of it at all',
    CameraFault.FROZEN: 'fresh stamps, the last image',
    CameraFault.BLACK: 'every pixel is 0',
    CameraFault.HALF: 'every second frame does not come',
    CameraFault.WHITE: 'every pixel is 255',
    CameraFault.SMALL: 'images of half the width and height',
    CameraFault.BURNT: 'the upper half of every image is 255',
    CameraFault.DRIFT: 'it becomes darker, in 0.7 s by four tenths',
    CameraFault.TINT: 'red is 0.7 times as strong',
    CameraFault.LATE: 'images come ten frames after their capture',
    CameraFault.AHEAD: 'stamps are 0.1 s in the future',
}
_WELL_EFFECT = 'nothing is wrong with it'


class Order(NamedTuple):
    """One fault to befall one camera in place of any other; None: it is well again."""

    camera: str
    fault: CameraFault | None

    @property
    def effect(self) -> str:
        return _WELL_EFFECT if self.fault is None else EFFECTS[self.fault]

    def __str__(self) -> str:
        """Return the text that orders it."""
        return f'{CAMERA} {self.camera} {self.fault or WELL}'


def is_order(text: str) -> bool:
    """Whether an order, right or wrong, is a camera's."""
    return text.split()[:1] == [CAMERA]


def parse(text: str) -> Order:
    """Read one order; raises UserError that says what is known."""
    words = text.split()
    known = {WELL: None, **{fault.value: fault for fault in CameraFault}}
    if len(words) != 3 or words[0] != CAMERA or words[1] not in CAMERAS or words[2] not in known:
        raise UserError(
            f'fault {text!r}: give {CAMERA}, then {" or ".join(CAMERAS)}, then '
            f'{", ".join(CameraFault)} or {WELL}'
        )
    return Order(words[1], known[words[2]])


class Frame(NamedTuple):
    """Pixels, rgb8, shape (height, width, 3), and the time of their capture, nanoseconds."""

    pixels: Pixels
    captured: int


class CameraTrouble:
    """What comes out of one camera: `fault` is what is wrong with it, None for nothing."""

    def __init__(self) -> None:
        self._fault: CameraFault | None = None
        self._age = 0  # images since it befell
        self._last: Pixels | None = None
        self._waiting: deque[Frame] = deque(maxlen=_LATE + 1)

    @property
    def fault(self) -> CameraFault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: CameraFault | None) -> None:
        self._fault, self._age = fault, 0
        self._waiting.clear()

    def frame(self, seen: Pixels, captured: int) -> Frame | None:
        """Return what is published of the next image; None: nothing."""
        self._age += 1
        match self._fault:
            case CameraFault.SILENT:
                return None
            case CameraFault.HALF if self._age % 2:
                return None
            case CameraFault.BLACK:
                seen = np.zeros_like(seen)
            case CameraFault.WHITE:
                seen = np.full_like(seen, 255)
            case CameraFault.SMALL:
                seen = np.ascontiguousarray(seen[::2, ::2])
            case CameraFault.BURNT:
                seen = seen.copy()
                seen[: len(seen) // 2] = 255
            case CameraFault.DRIFT:
                seen = _times(seen, max(_RAMP**self._age, _DRIFT))
            case CameraFault.TINT:
                seen = _times(seen, (_TINT, 1.0, 1.0))
            case CameraFault.FROZEN if self._last is not None:
                seen = self._last
            case CameraFault.LATE:
                self._waiting.append(Frame(seen, captured))
                if len(self._waiting) <= _LATE:
                    return None
                seen, captured = self._waiting[0]
            case CameraFault.AHEAD:
                captured += round(_AHEAD * 1e9)
        self._last = seen
        return Frame(seen, captured)


def _times(pixels: Pixels, factor: float | tuple[float, float, float]) -> Pixels:
    return np.clip(pixels * np.asarray(factor, np.float32), 0, 255).astype(np.uint8)
