"""What can go wrong with a simulated camera, and the text that orders it; pure.

    camera wrist silent        camera overhead black        camera wrist well

It comes on the topic of the arm's faults, see fault.py: the first word tells whose it is.
"""

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


EFFECTS = {
    CameraFault.SILENT: 'no message of it at all',
    CameraFault.FROZEN: 'fresh stamps, the last image',
    CameraFault.BLACK: 'every pixel is 0',
    CameraFault.HALF: 'every second frame does not come',
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


class CameraTrouble:
    """What comes out of one camera: `fault` is what is wrong with it, None for nothing."""

    def __init__(self) -> None:
        self.fault: CameraFault | None = None
        self._last: Pixels | None = None
        self._left_out = False

    def frame(self, seen: Pixels) -> Pixels | None:
        """Return what is published of the next image; None: nothing."""
        match self.fault:
            case CameraFault.SILENT:
                return None
            case CameraFault.HALF:
                self._left_out = not self._left_out
                if self._left_out:
                    return None
            case CameraFault.BLACK:
                seen = np.zeros_like(seen)
            case CameraFault.FROZEN if self._last is not None:
                seen = self._last
        self._last = seen
        return seen
