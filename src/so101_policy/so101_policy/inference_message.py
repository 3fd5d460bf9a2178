"""What the robot and the inference on another machine say to each other, as bytes.

A request and an answer are each one message, so both come whole or not at all: a line of JSON,
then the blocks of bytes whose sizes the line gives. Everything is checked where it is read.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from so101_cameras.image import from_jpeg, to_jpeg
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import json_object
from so101_policy.inference import Chunk
from so101_policy.json_object import field
from so101_policy.observation import Observation
from so101_policy.schedule import Guidance

# Finer than what is recorded: the model sees an image that was coded once more.
JPEG_QUALITY = 95

# Far more than any policy or camera has; what is longer is not one of these messages.
_MOST_ACTIONS = 1000
_MOST_TEXT = 10_000
_MOST_BYTES = 4_000_000

_REQUEST = 'inference request'
_ANSWER = 'inference answer'
_HELLO = 'inference hello'


@dataclass(frozen=True)
class Name:
    """Of one request among all: `client` is the asking process, `number` counts its requests."""

    client: str
    number: int


@dataclass(frozen=True)
class Request:
    """One observation to be inferred. The policy forgets its past when `episode` changes."""

    name: Name
    episode: int
    task: str
    state: NDArray[np.float64]  # (6,), dataset units
    guidance: Guidance | None  # its prefix in dataset units
    jpegs: Mapping[str, bytes]  # camera -> JPEG, one or more of CAMERAS

    def observation(self) -> Observation:
        """Decode the images. Raises UserError when one is not of IMAGE_SHAPE.

        `captured` is 0: the time of the robot means nothing on another machine.
        """
        images = {}
        for camera, jpeg in self.jpegs.items():
            try:
                images[camera] = from_jpeg(jpeg)
            except ValueError as error:
                raise UserError(f'{_REQUEST}: {camera} image: {error}') from error
            if images[camera].shape != IMAGE_SHAPE:
                raise UserError(
                    f'{_REQUEST}: {camera} image has shape {images[camera].shape}, '
                    f'expected {IMAGE_SHAPE}'
                )
        return Observation(images, self.state, captured=0)

    def encode(self) -> bytes:
        header: dict[str, Any] = {
            'client': self.name.client,
            'number': self.name.number,
            'episode': self.episode,
            'task': self.task,
            'state': self.state.tolist(),
            'cameras': list(self.jpegs),
        }
        if self.guidance is not None:
            header['guidance'] = self.guidance.values()
        return _joined(header, list(self.jpegs.values()))


def request(
    name: Name, episode: int, observation: Observation, task: str, guidance: Guidance | None
) -> Request:
    """Make a request of an observation: its images become JPEG."""
    jpegs = {camera: to_jpeg(image, JPEG_QUALITY) for camera, image in observation.images.items()}
    return Request(name, episode, task, observation.state, guidance, jpegs)


def decode_request(data: bytes) -> Request:
    """Raises UserError for anything that `Request.encode` does not write; images stay JPEG."""
    header, blocks = _parts(data, _REQUEST)
    cameras = json_object.texts(header, 'cameras', _REQUEST)
    if len(cameras) != len(blocks) or set(cameras) - set(CAMERAS):
        raise UserError(f'{_REQUEST}: {len(blocks)} images, of the cameras {cameras!r:.80}')
    return Request(
        _name(header, _REQUEST),
        _whole(header, 'episode', _REQUEST),
        _text(header, 'task', _REQUEST),
        _rows([header.get('state')], _REQUEST)[0],
        _guidance(header),
        dict(zip(cameras, blocks, strict=True)),
    )


def encode_answer(name: Name, chunk: Chunk) -> bytes:
    """Actions go as float64, so that one that is not finite arrives as it was predicted."""
    header = {'client': name.client, 'number': name.number, 'seconds': chunk.seconds}
    return _joined(header, [chunk.actions.astype('<f8').tobytes()])


def decode_answer(data: bytes) -> tuple[Name, Chunk]:
    """Raises UserError for anything that `encode_answer` does not write."""
    header, blocks = _parts(data, _ANSWER)
    if len(blocks) != 1:
        raise UserError(f'{_ANSWER}: {len(blocks)} blocks, expected one, of actions')
    [block] = blocks
    count, rest = divmod(len(block), 8 * len(JOINTS))
    if rest or not 1 <= count <= _MOST_ACTIONS:
        raise UserError(f'{_ANSWER}: {len(block)} bytes of actions')
    actions = np.frombuffer(block, '<f8').reshape(count, len(JOINTS)).astype(np.float64)
    return _name(header, _ANSWER), Chunk(actions, _seconds(header, _ANSWER))


@dataclass(frozen=True)
class Hello:
    """How the inference is. Each start of its process is a `session` of its own."""

    session: str
    state: str  # loading, warm or ended
    seconds: float  # that loading took, when it is warm
    guided: bool
    reason: str  # why it, or the session before it, ended; else empty
    checkpoint: str  # Checkpoint.to_json

    def encode(self) -> str:
        return json.dumps(self.__dict__)


def decode_hello(text: str) -> Hello:
    """Raises UserError for anything that `Hello.encode` does not write; not of `checkpoint`."""
    values = json_object.parse(text, _HELLO)
    state = _text(values, 'state', _HELLO)
    if state not in ('loading', 'warm', 'ended'):
        raise UserError(f'{_HELLO}: state is {state!r}, expected loading, warm or ended')
    return Hello(
        _text(values, 'session', _HELLO),
        state,
        _seconds(values, _HELLO),
        field(values, 'guided', bool, _HELLO),
        _text(values, 'reason', _HELLO),
        field(values, 'checkpoint', str, _HELLO),
    )


def _joined(header: dict[str, Any], blocks: Sequence[bytes]) -> bytes:
    header['sizes'] = [len(block) for block in blocks]
    return b''.join([json.dumps(header).encode(), b'\n', *blocks])


def _parts(data: bytes, where: str) -> tuple[dict[str, Any], list[bytes]]:
    """Return the JSON object and the blocks of a message."""
    if len(data) > _MOST_BYTES:
        raise UserError(f'{where}: {len(data)} bytes, expected at most {_MOST_BYTES}')
    line, newline, rest = data.partition(b'\n')
    if not newline:
        raise UserError(f'{where}: {len(data)} bytes without a header')
    header = json_object.parse(line, where)
    sizes = field(header, 'sizes', list, where)
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise UserError(f'{where}: sizes is {sizes!r:.80}, expected numbers of bytes')
    if sum(sizes) != len(rest):
        raise UserError(f'{where}: {len(rest)} bytes after its header, which says {sum(sizes)}')
    ends = np.cumsum([0, *sizes]).tolist()
    return header, [rest[a:b] for a, b in pairwise(ends)]


def _name(header: Mapping[str, Any], where: str) -> Name:
    return Name(_text(header, 'client', where), _whole(header, 'number', where))


def _guidance(header: Mapping[str, Any]) -> Guidance | None:
    if 'guidance' not in header:
        return None
    values = field(header, 'guidance', dict, _REQUEST)
    prefix = _rows(field(values, 'prefix', list, _REQUEST), _REQUEST)
    delay, horizon = (_whole(values, key, _REQUEST) for key in ('delay', 'horizon'))
    if max(delay, horizon) > _MOST_ACTIONS:
        raise UserError(f'{_REQUEST}: delay {delay}, horizon {horizon}: at most {_MOST_ACTIONS}')
    return Guidance(prefix, delay, horizon)


def _rows(value: list[Any], where: str) -> NDArray[np.float64]:
    """Return joint values of shape (P, 6), all finite."""
    flat: list[Any] = [
        number
        for row in value
        for number in (row if isinstance(row, list) and len(row) == len(JOINTS) else [None])
    ]
    if len(value) > _MOST_ACTIONS or not all(
        type(number) in (int, float) and abs(number) < 1e9 for number in flat
    ):
        raise UserError(f'{where}: rows of {len(JOINTS)} finite numbers expected: {value!r:.80}')
    return np.array(flat, dtype=np.float64).reshape(len(value), len(JOINTS))


def _whole(values: Mapping[str, Any], key: str, where: str) -> int:
    value = field(values, key, int, where)
    if not 0 <= value < 1 << 62:
        raise UserError(f'{where}: {key} is {value}')
    return value


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    value = field(values, key, str, where)
    if len(value) > _MOST_TEXT:
        raise UserError(f'{where}: {key} has {len(value)} letters, at most {_MOST_TEXT}')
    return value


def _seconds(values: Mapping[str, Any], where: str) -> float:
    value = field(values, 'seconds', (int, float), where)
    if not (math.isfinite(value) and value >= 0):
        raise UserError(f'{where}: seconds is {value}')
    return float(value)
