"""What is measured of each picture, one after the other; pure.

A picture is measured once, when it is decoded, and is gone then: what is kept of it are the few
numbers of Measures, so that a recording may be as long as it likes.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_cameras.picture_health import BLOCK, CLIPPED
from so101_training.checks.runs import joined, runs

Luma = NDArray[np.uint8]
Floats = NDArray[np.float64]

# A picture is looked at in blocks of 8x8 pixels, of which a large one has 80x60: the noise of a
# block's mean, the sensor's and that of the encoding, is an eighth of a pixel's.
_COLUMNS, _ROWS = 80, 60

# The share of blocks that must differ for two pictures to differ: of 640x480 the area of a square
# of 39 pixels, less than a gripper seen from above.
_MOVING = 0.005

# Brightness, of 0 to 255, up to which two pictures of one scene are the same. Encoding the same
# picture twice changes a block by up to 2 (H.264, crf 23 to 30); an edge of contrast 100 that
# moves by a pixel changes a block by 12.
_SAME = 3.0

# How far a row of a torn picture is, at the least, from the rows of the pictures before and after
# it, of 0 to 255, beyond what these two differ by. Lamps at 100 Hz seen at 30 Hz flicker by 3.
_ODD = 6.0

# Pixels of a picture at half size over which the steps of edges are compared.
_FINE, _COARSE = 1, 8

# The share of pixels that are taken for its strongest edges: of 640x480 one that crosses the
# picture. How high they must be, of 0 to 255, for their steepness to say something: twice what
# the noise of a dim room makes of a plain surface.
_EDGES = 0.002
_HIGH = 16


@dataclass(frozen=True)
class Measures:
    """One number a picture, each of shape (n,).

    `brightness`, `contrast`: mean and standard deviation over the blocks, of 0 to 255. `clipped`:
    share of blocks without content for brightness. `sharpness`: how much of its strongest edges'
    height is within one pixel, 0 to 1, across or along, whichever is sharper, for what moves fast
    is blurred in one direction only; NaN where there are no edges to be judged. `change`: how much
    the blocks that changed most differ from the picture before. `still`: how many pictures before
    this one are the same. `odd`: share of the rows, one below the other, that are unlike the
    pictures before and after, which are alike.
    """

    brightness: Floats
    contrast: Floats
    clipped: Floats
    sharpness: Floats
    change: Floats
    still: Floats
    odd: Floats

    def __len__(self) -> int:
        return len(self.brightness)

    @classmethod
    def none(cls) -> 'Measures':
        return cls(*(np.empty(0) for _ in fields(cls)))


class PictureMeter:
    """Takes the pictures of one camera and episode in their order."""

    def __init__(self) -> None:
        self._found: list[tuple[float, ...]] = []
        self._odd: list[float] = []
        self._blocks: Luma | None = None  # of the picture before
        self._anchor: Luma | None = None  # of the first one that is the same
        self._still = 0
        self._rows: list[Luma] = []  # of the two pictures before
        self._before: Floats | None = None  # how far their rows are apart

    def feed(self, luma: Luma) -> None:
        """Take the brightness, 0 to 255, of the next picture: shape (height, width)."""
        height, width = luma.shape
        tall = _shrunk(luma, min(_COLUMNS, width), height)
        blocks = _shrunk(tall, min(_COLUMNS, -(-width // BLOCK)), min(_ROWS, -(-height // BLOCK)))
        if self._blocks is not None and self._blocks.shape != blocks.shape:
            self._blocks, self._rows, self._before = None, [], None
        change = 0.0 if self._blocks is None else _difference(blocks, self._blocks)
        if self._blocks is None or self._anchor is None or not self._same(blocks):
            self._anchor, self._still = blocks, 0
        else:
            self._still += 1
        mean, deviation = cv2.meanStdDev(blocks)
        self._found.append(
            (
                float(mean[0, 0]),
                float(deviation[0, 0]),
                cv2.countNonZero(cv2.inRange(blocks, CLIPPED, 255)) / blocks.size,  # type: ignore[call-overload]
                _sharpness(luma),
                change,
                float(self._still),
            )
        )
        self._compare(tall)
        self._blocks = blocks

    def finish(self) -> Measures:
        """Return what was measured."""
        if not self._found:
            return Measures.none()
        columns = np.array(self._found, dtype=np.float64).T
        # Of the first and the last picture nothing can be said.
        odd = np.array([0.0, *self._odd, 0.0][: columns.shape[1]])
        brightness, contrast, clipped, sharpness, change, still = columns
        return Measures(brightness, contrast, clipped, sharpness, change, still, odd)

    def _same(self, blocks: Luma) -> bool:
        assert self._anchor is not None
        return _difference(blocks, self._anchor) <= _SAME

    def _compare(self, tall: Luma) -> None:
        """Hold the picture before against its neighbours."""
        odd = 0.0
        after = _apart(self._rows[-1], tall) if self._rows else None
        if len(self._rows) == 2 and self._before is not None and after is not None:
            across = _apart(self._rows[0], tall)
            odd = _longest(np.minimum(self._before, after) - across > _ODD)
        if len(self._found) > 2:
            self._odd.append(odd)
        self._rows = [*self._rows[-1:], tall]
        self._before = after


def _apart(one: Luma, other: Luma) -> Floats:
    """Return by how much each row differs, of 0 to 255, on average."""
    rows = cv2.reduce(_absolute(one, other), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    return rows.ravel()  # type: ignore[return-value]


def _absolute(one: Luma, other: Luma) -> Luma:
    return cv2.absdiff(one, other)  # type: ignore[return-value]


def _difference(one: Luma, other: Luma) -> float:
    """Return by how much the blocks that differ most do at least, of 0 to 255."""
    return float(_upper(_absolute(one, other), _MOVING))


def _shrunk(pixels: Luma, width: int, height: int) -> Luma:
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _longest(rows: NDArray[np.bool_]) -> float:
    """Return the share of the longest stretch of rows that are True, but for single ones."""
    if not rows.any():
        return 0.0
    stretches = runs(joined(rows, max(len(rows) // 60, 1)))
    return max(stop - start for start, stop in stretches) / len(rows)


def _upper(values: Luma, share: float) -> int:
    """Return the value that `share` of the values reach."""
    counts = np.bincount(values.ravel(), minlength=256)
    from_above = np.cumsum(counts[::-1])
    return 255 - int(np.searchsorted(from_above, max(share * values.size, 1)))


def _sharpness(luma: Luma) -> float:
    height, width = luma.shape
    if min(height, width) < 4 * _COARSE:
        return float('nan')  # too small for edges to be told
    half = _shrunk(luma, width // 2, height // 2)
    across, along = (
        [
            _upper(_absolute(turned[:, step:], turned[:, :-step]), _EDGES)
            for step in (_FINE, _COARSE)
        ]
        # Every second line is enough.
        for turned in (half[::2], np.ascontiguousarray(half[:, ::2].T))
    )
    steep = [fine / coarse for fine, coarse in (across, along) if coarse >= _HIGH]
    return max(steep, default=float('nan'))
