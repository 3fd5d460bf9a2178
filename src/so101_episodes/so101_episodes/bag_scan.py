"""A bag's file read from its beginning, in the order of writing, as far as it goes.

It may have been cut off anywhere: its writer was killed, or its disk was full. And where the clock
was set back, only the order of writing tells what came after what.
"""

import struct
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

from mcap import records
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.writer import MCAP0_MAGIC
from rosbags.interfaces import Qos, QosDurability, QosReliability
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from so101_episodes.bag import Channel
from so101_node.error import UserError

# What stands before a record, before a message's data, and before the records of a chunk, which
# are found behind the name of its compression; see https://mcap.dev/spec.
_RECORD = struct.Struct('<BQ')  # opcode, length
_MESSAGE = struct.Struct('<H4xQ8x')  # channel, time
_CHUNK = struct.Struct('<28xI8x')  # length of that name, 0 for none

Record = tuple[int, bytes]  # opcode, content


def messages(file: Path) -> Iterator[tuple[Channel, int, bytes]]:
    """Yield each message's channel, the nanoseconds at which it was received, and its CDR data.

    Ends at the file's end, or where it is cut off or damaged. Chunks are not compressed: Bag does
    not. Raises UserError for what does not even begin as an MCAP file, and OSError.
    """
    schemas: dict[int, str] = {}
    channels: dict[int, Channel] = {}
    for opcode, content in _records(file):
        if opcode == Opcode.MESSAGE and len(content) >= _MESSAGE.size:
            number, received = _MESSAGE.unpack_from(content)
            if number in channels:
                yield channels[number], received, content[_MESSAGE.size :]
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            stream = ReadDataStream(BytesIO(content))
            try:
                if opcode == Opcode.SCHEMA:
                    schema = records.Schema.read(stream)
                    schemas[schema.id] = schema.name
                else:
                    channel = records.Channel.read(stream)
                    channels[channel.id] = _channel(channel, schemas[channel.schema_id])
            except (McapError, struct.error, ValueError, KeyError):
                return  # damaged


def _records(path: Path) -> Iterator[Record]:
    """Yield the records that are whole, those in chunks in place of these."""
    left = path.stat().st_size
    with path.open('rb') as file:
        begin = file.read(len(MCAP0_MAGIC))
        if not MCAP0_MAGIC.startswith(begin):
            raise UserError(f'{path} is not an MCAP file: it begins with {begin!r}')
        left -= len(begin)
        while left >= _RECORD.size:
            opcode, length = _RECORD.unpack(file.read(_RECORD.size))
            left -= _RECORD.size
            content = file.read(min(length, left))
            left -= len(content)
            if opcode == Opcode.CHUNK:
                yield from _in_chunk(content)
            elif len(content) == length:
                yield opcode, content


def _in_chunk(chunk: bytes) -> Iterator[Record]:
    """Yield the records that are whole in a chunk, or in what is left of it."""
    at = _CHUNK.size
    if len(chunk) < at or _CHUNK.unpack_from(chunk) != (0,):
        return
    while at + _RECORD.size <= len(chunk):
        opcode, length = _RECORD.unpack_from(chunk, at)
        at += _RECORD.size
        if at + length > len(chunk):
            return
        yield opcode, chunk[at : at + length]
        at += length


def _channel(record: records.Channel, type_name: str) -> Channel:
    qos = _qos(record.metadata.get('offered_qos_profiles', ''))
    return Channel(
        topic=record.topic,
        type=type_name,
        depth=qos.depth if qos else 10,
        reliable=qos is None or qos.reliability == QosReliability.RELIABLE,
        latched=qos is not None and qos.durability == QosDurability.TRANSIENT_LOCAL,
    )


@cache  # reading YAML takes milliseconds, and most topics have the same
def _qos(text: str) -> Qos | None:
    try:
        return next(iter(parse_qos(text)), None)
    except (ReaderError, KeyError, TypeError, ValueError, AttributeError):  # YAML of another kind
        return None
