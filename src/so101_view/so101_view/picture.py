"""The picture in picture: one camera fills it, the other is an inset, a caption on top."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from so101_cameras.image import Array
from so101_view.caption import Caption

WIDTH, HEIGHT = 960, 540  # pixels
INSET = 240  # side of the inset's image, without its border
BORDER = 2
MARGIN = 12  # from the picture's corner to the border's

_DARK = 24  # grey of where an image should be
_WHITE = (255, 255, 255, 255)
_AMBER = (255, 196, 64, 255)
_COLOURS = {'success': (110, 231, 130, 255), 'failure': (255, 120, 110, 255)}
_BAR = (0, 0, 0, 160)  # half lets the scene through, and white is read on any
_FONT_SIZE = 17
_LINE = 28  # height of a line's bar
_GAP = 18  # between the parts of a line


@dataclass(frozen=True)
class Layout:
    """Which camera fills the picture, and which is the inset; None: there is no inset."""

    main: str = 'overhead'
    inset: str | None = 'wrist'

    @property
    def cameras(self) -> tuple[str, ...]:
        return (self.main,) if self.inset is None else (self.main, self.inset)

    def compose(self, images: Mapping[str, Array | None], caption: Caption) -> Array:
        """Return the picture, rgb8 (HEIGHT, WIDTH, 3); an image may have any size, or be None."""
        main = images[self.main]
        if main is None:
            picture = _missing(WIDTH, HEIGHT, self.main).copy()
        else:
            picture = _filling(main, WIDTH, HEIGHT)
        if self.inset is not None:
            inset = images[self.inset]
            right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
            side = INSET + 2 * BORDER
            picture[bottom - side : bottom, right - side : right] = 255
            right, bottom = right - BORDER, bottom - BORDER
            picture[bottom - INSET : bottom, right - INSET : right] = (
                _missing(INSET, INSET, self.inset)
                if inset is None
                else _filling(inset, INSET, INSET)
            )
        _lay_over(picture, caption)
        return picture


def _filling(pixels: Array, width: int, height: int) -> Array:
    """Scale the image until it fills the size, and cut off what hangs over, evenly."""
    rows, columns = pixels.shape[:2]
    kept_rows = min(rows, max(1, round(columns * height / width)))
    kept_columns = min(columns, max(1, round(rows * width / height)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    cut = pixels[top : top + kept_rows, left : left + kept_columns]
    shrinks = kept_rows > height
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(cut, (width, height), interpolation=way)  # type: ignore[return-value]


@cache
def _missing(width: int, height: int, camera: str) -> Array:
    image = Image.new('RGB', (width, height), (_DARK,) * 3)
    ImageDraw.Draw(image).text(
        (width / 2, height / 2), f'no {camera} image', (150,) * 3, _font(), anchor='mm'
    )
    return np.asarray(image)


def _lay_over(picture: Array, caption: Caption) -> None:
    for i, line in enumerate(_lines(caption)):
        colours, kept = _bar(line)
        height, width = colours.shape[:2]
        top = MARGIN + i * (_LINE + 4)
        region = picture[top : top + height, MARGIN : MARGIN + width]
        if region.shape == colours.shape:  # a hundredth warning has no room
            cv2.multiply(region, kept, region, scale=1 / 255)
            cv2.add(region, colours, region)


type _Line = tuple[tuple[str, tuple[int, int, int, int]], ...]  # texts and their colours


def _lines(caption: Caption) -> list[_Line]:
    outcome = _COLOURS.get(caption.outcome, _WHITE)
    lines = [
        (*((part, _WHITE) for part in caption.parts), (caption.outcome, outcome)),
        ((caption.reason, outcome),),
        *(((warning, _AMBER),) for warning in caption.warnings),
    ]
    said = [tuple((text, colour) for text, colour in line if text) for line in lines]
    return [line for line in said if line]


@lru_cache(maxsize=16)
def _bar(line: _Line) -> tuple[Array, Array]:
    """Return a line of text on its bar: the colours to be added, and what is kept of 255 below.

    It takes 3 ms, which is why a caption does not count tenths of seconds.
    """
    texts = _shortened([' '.join(text.split()) for text, _ in line])
    widths = [_font().getlength(text) for text in texts]
    width = int(sum(widths) + _GAP * len(line))
    image = Image.new('RGBA', (width, _LINE), _BAR)
    draw = ImageDraw.Draw(image)
    left = _GAP / 2
    for text, (_, colour), taken in zip(texts, line, widths, strict=True):
        draw.text((left, _LINE / 2), text, colour, _font(), anchor='lm')
        left += taken + _GAP
    pixels = np.asarray(image)
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    kept = np.repeat(255 - alpha, 3, axis=2)
    return cv2.multiply(colours, np.repeat(alpha, 3, axis=2), scale=1 / 255), kept  # type: ignore[return-value]


def _shortened(texts: list[str]) -> list[str]:
    """Cut the longest text, again and again, until the line fits into the picture."""
    texts = list(texts)
    room = WIDTH - 2 * MARGIN - _GAP * len(texts)
    while sum(map(_font().getlength, texts)) > room and any(len(text) > 1 for text in texts):
        longest = max(range(len(texts)), key=lambda i: len(texts[i]))
        kept = texts[longest].removesuffix('…')
        # In large steps first: a task may have a thousand letters.
        texts[longest] = kept[: max(0, len(kept) - 1 - len(kept) // 50)].rstrip() + '…'
    return texts


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which has the letters of most languages and comes with matplotlib."""
    path = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'
    return ImageFont.truetype(path, _FONT_SIZE)
