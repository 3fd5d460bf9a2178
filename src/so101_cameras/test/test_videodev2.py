"""The structures and numbers are those of this machine's own linux/videodev2.h."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from so101_cameras.sources import videodev2 as v4l2

HEADER = Path('/usr/include/linux/videodev2.h')

STRUCTURES = {
    'v4l2_capability': v4l2.CAPABILITY,
    'v4l2_fmtdesc': v4l2.FORMAT_DESCRIPTION,
    'v4l2_format': v4l2.FORMAT,
    'v4l2_frmsizeenum': v4l2.FRAME_SIZE,
    'v4l2_streamparm': v4l2.STREAM_PARAMETERS,
    'v4l2_requestbuffers': v4l2.REQUEST_BUFFERS,
    'v4l2_buffer': v4l2.BUFFER,
    'v4l2_control': v4l2.CONTROL,
    'v4l2_queryctrl': v4l2.QUERY_CONTROL,
    'v4l2_querymenu': v4l2.QUERY_MENU,
}

# What is written into a field of the structure at this place of ours arrives in that one of C's.
FIELDS = {
    'v4l2_capability': {4: 'capabilities', 5: 'device_caps'},
    'v4l2_fmtdesc': {0: 'index', 1: 'type', 4: 'pixelformat'},
    'v4l2_format': {
        0: 'type',
        1: 'fmt.pix.width',
        2: 'fmt.pix.height',
        3: 'fmt.pix.pixelformat',
        4: 'fmt.pix.field',
        5: 'fmt.pix.bytesperline',
        6: 'fmt.pix.sizeimage',
    },
    'v4l2_frmsizeenum': {0: 'index', 1: 'pixel_format', 2: 'type', 3: 'discrete.width',
                         4: 'discrete.height', 6: 'stepwise.min_height',
                         7: 'stepwise.max_height'},
    'v4l2_streamparm': {0: 'type', 3: 'parm.capture.timeperframe.numerator',
                        4: 'parm.capture.timeperframe.denominator'},
    'v4l2_requestbuffers': {0: 'count', 1: 'type', 2: 'memory'},
    'v4l2_buffer': {0: 'index', 1: 'type', 2: 'bytesused', 3: 'flags', 4: 'field',
                    5: 'timestamp.tv_sec', 6: 'timestamp.tv_usec', 7: 'sequence', 8: 'memory',
                    9: 'm.offset', 10: 'length'},
    'v4l2_control': {0: 'id', 1: 'value'},
    'v4l2_queryctrl': {0: 'id', 3: 'minimum', 4: 'maximum', 5: 'step', 6: 'default_value',
                       7: 'flags'},
    'v4l2_querymenu': {0: 'id', 1: 'index'},
}  # fmt: skip

# Ours that do not have the header's name behind VIDIOC_ or V4L2_.
REQUESTS = {
    'QUERYCAP', 'ENUM_FMT', 'S_FMT', 'REQBUFS', 'QUERYBUF', 'QBUF', 'DQBUF', 'STREAMON',
    'STREAMOFF', 'S_PARM', 'G_CTRL', 'S_CTRL', 'QUERYCTRL', 'QUERYMENU', 'ENUM_FRAMESIZES',
}  # fmt: skip


@pytest.mark.skipif(
    not (HEADER.exists() and shutil.which('cc')), reason='no compiler or no kernel headers'
)
def test_everything_is_as_the_header_has_it(tmp_path: Path) -> None:
    constants = {
        name: value
        for name, value in vars(v4l2).items()
        if name.startswith(('BUF_', 'CAP_', 'CID_', 'CTRL_', 'EXPOSURE_', 'FIELD_', 'FRM', 'MEM'))
        and isinstance(value, int)
    }
    lines = [f'S({name})' for name in STRUCTURES]
    lines += [f'P(VIDIOC_{name})' for name in sorted(REQUESTS)]
    lines += [f'P(V4L2_{name})' for name in constants]
    for name, fields in FIELDS.items():
        lines += [f'O({name}, {field})' for field in fields.values()]
    source = tmp_path / 'show.c'
    source.write_text(
        '#include <linux/videodev2.h>\n#include <stddef.h>\n#include <stdio.h>\n'
        '#define P(x) printf("%lu\\n", (unsigned long)(x));\n'
        '#define S(t) printf("%zu\\n", sizeof(struct t));\n'
        '#define O(t, f) printf("%zu\\n", offsetof(struct t, f));\n'
        f'int main(void) {{ {" ".join(lines)} }}\n'
    )
    subprocess.run(['cc', '-o', str(tmp_path / 'show'), str(source)], check=True)
    printed = subprocess.run([tmp_path / 'show'], stdout=subprocess.PIPE, text=True, check=True)
    theirs = list(map(int, printed.stdout.split()))
    ours = [structure.size for structure in STRUCTURES.values()]
    ours += [getattr(v4l2, name) for name in sorted(REQUESTS)]
    ours += list(constants.values())
    for name, fields in FIELDS.items():
        ours += [_offset(STRUCTURES[name], place) for place in fields]
    assert dict(zip(lines, ours, strict=True)) == dict(zip(lines, theirs, strict=True))


def _offset(structure: struct.Struct, place: int) -> int:
    """Return where a value of a structure lies: where it changes the bytes."""
    values = [b'' if isinstance(v, bytes) else 0 for v in structure.unpack(bytes(structure.size))]
    values[place] = 1  # the first byte of it, on a little-endian machine
    return structure.pack(*values).index(1)


def test_a_pixel_format_is_its_four_characters() -> None:
    assert v4l2.fourcc('MJPG') == 0x47504A4D
    assert v4l2.code(0x47504A4D) == 'MJPG'
