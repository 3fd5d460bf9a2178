"""A camera's JPEG frames: whether one came whole, its size, the tables that cameras leave out."""

from functools import cache

import numpy as np

from so101_cameras.image import to_jpeg

_START, _END = b'\xff\xd8', b'\xff\xd9'
_HUFFMAN_TABLES, _SCAN = 0xC4, 0xDA
# Frame headers: baseline, extended, progressive. No camera makes another.
_FRAMES = (0xC0, 0xC1, 0xC2)


def whole(data: bytes, width: int, height: int) -> bytes:
    """Return the image in `data` as any decoder reads it: without padding, with Huffman tables.

    Motion JPEG may leave out the tables: they are the standard's. Raises ValueError, with what is
    wrong, for an image that is cut off, of another size, or none. What is broken between a sound
    start and a sound end is seen by decoding alone.
    """
    if data[:2] != _START:
        raise ValueError(f'no JPEG: {len(data)} bytes starting {data[:4]!r}')
    end = data.rfind(_END)
    segments = _segments(data)
    if end < 0 or _SCAN not in segments or segments[_SCAN] > end:
        raise ValueError(f'a JPEG cut off after {len(data)} bytes')
    found = next((_size(data, segments[code]) for code in _FRAMES if code in segments), (0, 0))
    if found != (width, height):
        raise ValueError(f'a JPEG of {found[0]}x{found[1]}, not {width}x{height}')
    end += len(_END)
    if _HUFFMAN_TABLES in segments:
        return data if end == len(data) else data[:end]
    scan = segments[_SCAN]
    return data[:scan] + _standard_tables() + data[scan:end]


def _segments(data: bytes) -> dict[int, int]:
    """Return where the segments of each code start (the last of each), up to the scan."""
    found: dict[int, int] = {}
    at = len(_START)
    while at + 4 <= len(data) and data[at] == 0xFF and _SCAN not in found:
        found[data[at + 1]] = at
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return found


def _size(data: bytes, at: int) -> tuple[int, int]:
    """Return width and height of a frame header: after code, length and bits of a sample."""
    return data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6]


@cache
def _standard_tables() -> bytes:
    """Return the segments of the standard's Huffman tables, which OpenCV writes into a JPEG."""
    example = to_jpeg(np.zeros((8, 8, 3), np.uint8))
    tables, at = b'', len(_START)
    while example[at + 1] != _SCAN:
        after = at + 2 + (example[at + 2] << 8 | example[at + 3])
        if example[at + 1] == _HUFFMAN_TABLES:
            tables += example[at:after]
        at = after
    return tables
