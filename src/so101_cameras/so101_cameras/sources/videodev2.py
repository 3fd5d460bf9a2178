"""The kernel's interface to video devices: structures, requests and numbers of linux/videodev2.h.

For 64-bit machines; test_videodev2.py compares them with the header.
"""

import struct
from typing import NamedTuple

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved.
CAPABILITY = struct.Struct('=16s32s32s3I12x')
# struct v4l2_fmtdesc: index, type, flags, description, pixelformat, mbus_code, reserved.
FORMAT_DESCRIPTION = struct.Struct('=3I32s2I12x')
# struct v4l2_format with a v4l2_pix_format: type; width, height, pixelformat, field, bytesperline,
# sizeimage, colorspace; the rest of the union.
FORMAT = struct.Struct('=I4x7I172x')
# struct v4l2_frmsizeenum: index, pixel_format, type; width and height of a discrete one, or the
# least and largest width and their step, and the same of the height; reserved.
FRAME_SIZE = struct.Struct('=3I6I8x')
# struct v4l2_streamparm with a v4l2_captureparm: type; capability, capturemode, numerator and
# denominator of the time per frame; the rest of the union.
STREAM_PARAMETERS = struct.Struct('=I4I184x')
# struct v4l2_requestbuffers: count, type, memory, capabilities, flags and reserved.
REQUEST_BUFFERS = struct.Struct('=4I4x')
# struct v4l2_buffer: index, type, bytesused, flags, field; seconds, microseconds; timecode;
# sequence, memory; offset; length, reserved2, request_fd.
BUFFER = struct.Struct('=5I4xqq16x2IQ3I4x')
# struct v4l2_control: id, value.
CONTROL = struct.Struct('=Ii')
# struct v4l2_queryctrl: id, type, name, minimum, maximum, step, default_value, flags, reserved.
QUERY_CONTROL = struct.Struct('=2I32s4iI8x')
# struct v4l2_querymenu: id, index, name, reserved.
QUERY_MENU = struct.Struct('=2I32s4x')
BUFFER_TYPE = struct.Struct('=I')


def _request(number: int, structure: struct.Struct, direction: int = 3) -> int:
    """Return _IOWR('V', number, structure) of asm-generic/ioctl.h; 1 writes only, 2 reads only."""
    return direction << 30 | structure.size << 16 | ord('V') << 8 | number


QUERYCAP = _request(0, CAPABILITY, 2)
ENUM_FMT = _request(2, FORMAT_DESCRIPTION)
S_FMT = _request(5, FORMAT)
REQBUFS = _request(8, REQUEST_BUFFERS)
QUERYBUF = _request(9, BUFFER)
QBUF = _request(15, BUFFER)
DQBUF = _request(17, BUFFER)
STREAMON = _request(18, BUFFER_TYPE, 1)
STREAMOFF = _request(19, BUFFER_TYPE, 1)
S_PARM = _request(22, STREAM_PARAMETERS)
G_CTRL = _request(27, CONTROL)
S_CTRL = _request(28, CONTROL)
QUERYCTRL = _request(36, QUERY_CONTROL)
QUERYMENU = _request(37, QUERY_MENU)
ENUM_FRAMESIZES = _request(74, FRAME_SIZE)

BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
FIELD_ANY = 0
FRMSIZE_TYPE_DISCRETE = 1

CAP_VIDEO_CAPTURE = 0x1
CAP_VIDEO_OUTPUT = 0x2
CAP_STREAMING = 0x4000000
CAP_DEVICE_CAPS = 0x80000000

BUF_FLAG_ERROR = 0x40
BUF_FLAG_TIMESTAMP_MASK = 0xE000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x2000

CTRL_FLAG_DISABLED = 0x1
CTRL_FLAG_READ_ONLY = 0x4

CID_AUTO_WHITE_BALANCE = 0x98090C
CID_AUTOGAIN = 0x980912
CID_GAIN = 0x980913
CID_WHITE_BALANCE_TEMPERATURE = 0x98091A
CID_EXPOSURE_AUTO = 0x9A0901
CID_EXPOSURE_ABSOLUTE = 0x9A0902  # in 100 us
CID_EXPOSURE_AUTO_PRIORITY = 0x9A0903
CID_FOCUS_ABSOLUTE = 0x9A090A
CID_FOCUS_AUTO = 0x9A090C

# Of CID_EXPOSURE_AUTO: both automatic, by hand, only the exposure or only the aperture by hand.
EXPOSURE_AUTO, EXPOSURE_MANUAL, EXPOSURE_SHUTTER_PRIORITY, EXPOSURE_APERTURE_PRIORITY = range(4)


class Buffer(NamedTuple):
    """A struct v4l2_buffer without its timecode; `number` is its index."""

    number: int
    type: int = BUF_TYPE_VIDEO_CAPTURE
    bytes_used: int = 0
    flags: int = 0
    field: int = FIELD_ANY
    seconds: int = 0
    microseconds: int = 0
    sequence: int = 0
    memory: int = MEMORY_MMAP
    offset: int = 0
    length: int = 0
    reserved: int = 0
    request: int = 0


def fourcc(code: str) -> int:
    """Return the number of a pixel format such as 'MJPG'."""
    return int.from_bytes(code.encode('ascii'), 'little')


def code(number: int) -> str:
    """Return a pixel format's four characters."""
    return number.to_bytes(4, 'little').decode('latin-1')


def text(field: bytes) -> str:
    """Return a fixed-size field of C as text."""
    return field.split(b'\0')[0].decode('utf-8', 'replace')
