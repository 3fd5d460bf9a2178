"""What the machines say to each other arrives as it was sent, and nothing else is taken."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_cameras.image import to_jpeg
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node.error import UserError
from so101_policy import inference_message
from so101_policy.inference import Chunk
from so101_policy.inference_message import (
    Hello,
    Name,
    decode_answer,
    decode_hello,
    decode_request,
    encode_answer,
)
from so101_policy.observation import Observation
from so101_policy.schedule import Guidance

NAME = Name('robot', 7)
STATE = np.arange(6.0)
HELLO = Hello('one', 'warm', 1.5, True, '', '{}')


def smooth(slope: int) -> Any:
    """An image that JPEG keeps."""
    rows = np.linspace(0, 50 * slope, IMAGE_SHAPE[0]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None, None], IMAGE_SHAPE))


OBSERVATION = Observation({c: smooth(i + 2) for i, c in enumerate(CAMERAS)}, STATE, 5)
GUIDANCE = Guidance(np.arange(18.0).reshape(3, 6), 2, 3)
REQUEST = inference_message.request(NAME, 3, OBSERVATION, 'put it ü', GUIDANCE)
REQUEST_BYTES = REQUEST.encode()
ANSWER_BYTES = encode_answer(NAME, Chunk(np.ones((4, 6)), 0.25))


def changed(data: bytes, **fields: Any) -> bytes:
    line, _, rest = data.partition(b'\n')
    return json.dumps(json.loads(line) | fields).encode() + b'\n' + rest


def test_a_request_arrives_as_it_was_sent() -> None:
    found = decode_request(REQUEST_BYTES)
    assert (found.name, found.episode, found.task) == (NAME, 3, 'put it ü')
    assert found.guidance is not None
    assert found.guidance.prefix.tolist() == GUIDANCE.prefix.tolist()
    assert (found.guidance.delay, found.guidance.horizon) == (2, 3)
    observation = found.observation()
    assert observation.state.tolist() == STATE.tolist()
    for camera, pixels in OBSERVATION.images.items():
        assert np.abs(observation.images[camera].astype(int) - pixels).max() <= 2


def test_a_request_without_guidance_has_none() -> None:
    asked = inference_message.request(NAME, 0, OBSERVATION, '', None)
    assert decode_request(asked.encode()).guidance is None
    empty = Guidance(np.zeros((0, 6)), 0, 25)
    found = decode_request(replace(REQUEST, guidance=empty).encode()).guidance
    assert found is not None
    assert found.prefix.shape == (0, 6)


def test_a_request_may_have_the_images_of_one_camera() -> None:
    images = {'overhead': OBSERVATION.images['overhead']}
    asked = inference_message.request(NAME, 0, replace(OBSERVATION, images=images), '', None)
    assert list(decode_request(asked.encode()).observation().images) == ['overhead']


def test_an_answer_arrives_as_it_was_sent_finite_or_not() -> None:
    actions = np.array([[0.1, -1, 2, 3, 4, 5], [np.nan, np.inf, -np.inf, 0, 0, 0]])
    name, chunk = decode_answer(encode_answer(NAME, Chunk(actions, 0.25)))
    assert name == NAME
    assert chunk.seconds == 0.25
    np.testing.assert_array_equal(chunk.actions, actions)


@pytest.mark.parametrize('jpeg', [b'', b'no JPEG', to_jpeg(np.zeros((48, 64, 3), np.uint8))])
def test_an_image_that_is_none_or_of_another_size_is_refused(jpeg: bytes) -> None:
    jpegs = dict.fromkeys(CAMERAS, jpeg)
    with pytest.raises(UserError, match='wrist image'):
        decode_request(replace(REQUEST, jpegs=jpegs).encode()).observation()


@pytest.mark.parametrize(
    'fields',
    [
        {'state': [0, 1, 2, 3, 4]},
        {'state': [0, 1, 2, 3, 4, float('nan')]},
        {'state': [0, 1, 2, 3, 4, True]},
        {'state': None},
        {'task': 5},
        {'task': 'x' * 10_001},
        {'number': -1},
        {'number': 1.5},
        {'client': None},
        {'episode': 'first'},
        {'guidance': []},
        {'guidance': {'prefix': [[1, 2]], 'delay': 0, 'horizon': 1}},
        {'guidance': {'prefix': [[0] * 6] * 1001, 'delay': 0, 'horizon': 1}},
        {'guidance': {'prefix': [], 'delay': -1, 'horizon': 1}},
        {'guidance': {'prefix': [], 'delay': 0, 'horizon': 10**9}},
        {'sizes': [1, 2]},
        {'sizes': [-1, 10]},
        {'sizes': []},
        {'sizes': ['1', '2']},
        {'cameras': ['wrist']},
        {'cameras': ['wrist', 'chest']},
        {'cameras': None},
    ],
)
def test_a_request_with_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match='inference request'):
        decode_request(changed(REQUEST_BYTES, **fields))


@pytest.mark.parametrize('fields', [{'seconds': float('inf')}, {'seconds': -1}, {'number': None}])
def test_an_answer_with_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match='inference answer'):
        decode_answer(changed(ANSWER_BYTES, **fields))


def test_an_answer_of_two_blocks_is_refused() -> None:
    size = len(ANSWER_BYTES.partition(b'\n')[2])
    with pytest.raises(UserError, match='2 blocks, expected one'):
        decode_answer(changed(ANSWER_BYTES, sizes=[size, 0]))


@pytest.mark.parametrize('count', [0, 1001])
def test_a_chunk_of_no_or_too_many_actions_is_refused(count: int) -> None:
    with pytest.raises(UserError, match='bytes of actions'):
        decode_answer(encode_answer(NAME, Chunk(np.zeros((count, 6)), 0.1)))


def test_a_hello_arrives_as_it_was_sent() -> None:
    assert decode_hello(HELLO.encode()) == HELLO


@pytest.mark.parametrize('fields', [{'state': 'cold'}, {'guided': 1}, {'seconds': None}])
def test_a_hello_with_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match='inference hello'):
        decode_hello(json.dumps(json.loads(HELLO.encode()) | fields))


@given(st.integers(0, len(ANSWER_BYTES) - 1))
def test_a_truncated_answer_is_refused(length: int) -> None:
    with pytest.raises(UserError):
        decode_answer(ANSWER_BYTES[:length])


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with pytest.raises(UserError):
            decode(data)
        with pytest.raises(UserError):
            decode(b'[' * 100_000 + b'\n' + data)
    with pytest.raises(UserError):
        decode_hello(data.decode(errors='replace'))
