"""What every source of a camera's frames is: open, read a frame within a time, close; pure."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from so101_cameras.image import Array
from so101_cameras.intrinsics import Intrinsics
from so101_node.field import parameter

FALLEN_BACK = 'a USB 3 camera on USB 2: use a USB 3 port and cable'

_OLDEST = 1_000_000_000  # ns: a stamp older than this, or of the future, is not of this clock


class Frame(NamedTuple):
    """One frame as the device gave it.

    `image` is a JPEG, or rgb8 pixels of shape (height, width, 3). `captured` is in nanoseconds of
    system time. `number` counts what the device made: a gap is a frame that was lost, unless it is
    among the `skipped` ones, older frames that waited, too, and were passed over for this one.
    """

    image: bytes | Array
    captured: int
    number: int
    skipped: int = 0


@dataclass(frozen=True)
class Settings:
    """What a user asks of any camera; the nodes that set a camera have these parameters."""

    exposure: int = parameter(
        0, 'Exposure time, microseconds; 0: automatic', low=0, high=1_000_000
    )
    gain: int = parameter(
        0, "Gain, in the camera's own units; 0: automatic, or as it is", low=0, high=100_000
    )
    white_balance: int = parameter(0, 'White balance, kelvin; 0: automatic', low=0, high=10_000)
    focus: int = parameter(
        -1, "Focus, in the camera's own units; -1: automatic", low=-1, high=10_000
    )


@dataclass(frozen=True)
class Delivery:
    """What an opened source delivers.

    `device` names it for a person, `link` says how it is attached ('USB at 480 Mbit/s'). `rate` in
    hertz. `warnings` are what does not stop it and a person should mend.
    """

    device: str
    link: str
    width: int
    height: int
    rate: float
    encoding: str
    warnings: tuple[str, ...] = ()
    intrinsics: Intrinsics | None = None


class SourceError(Exception):
    """No frames for now: the device is absent, went, is busy, or delivers what was not asked for.

    What happened and what to do, in one line. Opening again may help.
    """


class DamagedFrame(Exception):
    """A frame came, and is none: why, and its `number`. The next one may be sound."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.number = number


class Ended(Exception):
    """There are no more frames: a video that is not repeated is over."""


class Source(Protocol):
    """Used by one thread."""

    def open(self) -> Delivery:
        """Start the stream.

        Raises SourceError when it cannot be had now, and so101_node's UserError for what only a
        person can change. Nothing is left open then.
        """

    def read(self, timeout: float) -> Frame:
        """Return the newest frame that was not returned yet; waits for one up to `timeout` s.

        Raises TimeoutError, DamagedFrame, SourceError when the device is gone, Ended.
        """

    def close(self) -> None:
        """Restore what was changed in the device and let go of it; also when it is gone."""


def capture_time(stamp: int, now: int) -> int:
    """Return a device's stamp, or `now` where it makes no sense; both in ns of system time."""
    return stamp if 0 <= now - stamp <= _OLDEST else now
