"""What a camera delivers in some seconds: when images were captured and came, what they show."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import NamedTuple

from so101_cameras.image import Array
from so101_cameras.picture import Compressed
from so101_cameras.picture_health import Look, look
from so101_cameras.sources.source import DamagedFrame, Ended, Source, SourceError
from so101_node.error import UserError

# Seconds: exposure and white balance settle in the first, and images that waited come at once.
SETTLING = 1.0
MEASURED = 2.0

# Seconds without an image after which a camera is given up.
PATIENCE = 3.0

# Images from one look at what they show to the next: looking takes longer than receiving.
_LOOKS = 10


class Image(NamedTuple):
    """Times in nanoseconds of system time; `same`: it is its predecessor, to the bit."""

    captured: int
    arrived: int
    same: bool


@dataclass(frozen=True)
class Shown:
    """What the last image that was looked at shows; brightness of 0 to 255."""

    width: int
    height: int
    brightness: float
    black: bool
    white: bool

    @classmethod
    def of(cls, seen: Look) -> 'Shown':
        return cls(seen.width, seen.height, seen.brightness, seen.is_black, seen.is_white)


@dataclass(frozen=True)
class CameraReading:
    """`refused`: why it could not be opened, '' when it was. `damaged` and `lost` count images."""

    name: str
    images: tuple[Image, ...] = ()
    shown: Shown | None = None
    refused: str = ''
    damaged: int = 0
    lost: int = 0
    link: str = ''
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def from_json(text: str) -> CameraReading:
    """Return the reading that `to_json` described."""
    values = json.loads(text)
    shown = values.pop('shown')
    images = tuple(Image(*image) for image in values.pop('images'))
    warnings = tuple(values.pop('warnings'))
    return CameraReading(
        images=images, shown=Shown(**shown) if shown else None, warnings=warnings, **values
    )


class Gallery:
    """Takes pictures as they come, and remembers of them what a reading needs."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.shown: Shown | None = None

    def add(
        self, captured: int, arrived: int, same: bool, look: Callable[[], Look | None]
    ) -> None:
        """`look` looks at the picture, None when it is none; called now and then."""
        if len(self.images) % _LOOKS == 0 and (seen := look()) is not None:
            self.shown = Shown.of(seen)
        self.images.append(Image(captured, arrived, same))


def read(name: str, source: Source, now: Callable[[], int]) -> CameraReading:
    """Open a camera, measure, close it; `now` in nanoseconds of system time."""
    try:
        delivery = source.open()
    except (SourceError, UserError) as error:
        return CameraReading(name, refused=str(error))
    gallery, refused = Gallery(), ''
    damaged = lost = 0
    before: bytes | Array | None = None
    number: int | None = None
    try:
        begun = now() + int(SETTLING * 1e9)
        while now() < begun + int(MEASURED * 1e9):
            try:
                frame = source.read(PATIENCE)
            except DamagedFrame as error:
                damaged += 1
                number = error.number
                continue
            if number is not None and (arrived := now()) >= begun:
                lost += max(0, frame.number - number - 1 - frame.skipped)
                picture = frame.image
                gallery.add(
                    frame.captured, arrived, _same(picture, before), partial(_look, picture)
                )
            number, before = frame.number, frame.image
    except (TimeoutError, Ended):
        pass  # what came is judged
    except (SourceError, UserError) as error:
        refused = str(error)
    finally:
        source.close()
    return CameraReading(
        name,
        tuple(gallery.images),
        gallery.shown,
        refused,
        damaged,
        lost,
        delivery.link,
        tuple(delivery.warnings),
    )


def _look(picture: bytes | Array) -> Look | None:
    return Compressed(picture).look() if isinstance(picture, bytes) else look(picture)


def _same(picture: bytes | Array, before: bytes | Array | None) -> bool:
    if isinstance(picture, bytes) or isinstance(before, bytes) or before is None:
        return isinstance(before, bytes) and picture == before
    return picture.shape == before.shape and bool((picture == before).all())


def rate(images: Sequence[Image]) -> float:
    """Return how many images a second were captured; 0 of less than two."""
    span = images[-1].captured - images[0].captured if images else 0
    return (len(images) - 1) / (span * 1e-9) if span > 0 else 0.0
