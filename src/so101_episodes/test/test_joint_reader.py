"""A joint state is read as rosbags decodes it, and what is none is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import JOINTS
from so101_episodes.bag import message_definitions
from so101_episodes.joint_reader import JointReader, stamp

TYPE = 'sensor_msgs/msg/JointState'
STORE: Any = message_definitions()


def serialized(
    names: list[str], positions: list[float], frame: str = '', time: tuple[int, int] = (1, 2)
) -> bytes:
    types = STORE.types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](*time), frame)
    empty = np.zeros(0)
    return bytes(
        STORE.serialize_cdr(types[TYPE](header, names, np.array(positions), empty, empty), TYPE)
    )


poses = st.lists(st.floats(-4, 4), min_size=6, max_size=6)


@given(
    frame=st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=9),
    order=st.permutations([*JOINTS, 'camera']),
    seconds=st.integers(0, 2**31 - 1),
    series=st.lists(poses, min_size=1, max_size=4),
)
def test_positions_and_stamps_are_those_that_were_written(
    frame: str, order: list[str], seconds: int, series: list[list[float]]
) -> None:
    reader = JointReader()
    for pose in series:
        position = dict(zip(JOINTS, pose, strict=True))
        data = serialized(order, [position.get(n, 9.0) for n in order], frame, (seconds, 7))
        assert reader.read(data).tolist() == pose
        assert stamp(data) == seconds * 10**9 + 7


def test_another_order_in_the_middle_of_a_topic_is_seen() -> None:
    reader = JointReader()
    pose = [float(n) for n in range(6)]
    assert reader.read(serialized(list(JOINTS), pose)).tolist() == pose
    assert reader.read(serialized(list(JOINTS[::-1]), pose)).tolist() == pose[::-1]


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'\0\1\0\0',
        serialized(list(JOINTS), [0.0] * 6)[:-60],
        serialized(list(JOINTS[:5]), [0.0] * 5),
        serialized(list(JOINTS), [0.0] * 5),
        serialized(list(JOINTS), [0.0] * 5 + [np.nan]),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    reader = JointReader()
    reader.read(serialized(list(JOINTS), [0.0] * 6))
    with pytest.raises(ValueError):
        reader.read(data)


@given(st.binary(max_size=300))
def test_nothing_but_value_errors_comes_of_noise(data: bytes) -> None:
    for read in (JointReader().read, stamp):
        try:
            read(data)
        except ValueError:
            pass
