"""Whatever is cut off a bag's file, the messages that are whole are read, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_episodes import bag_scan
from so101_episodes.bag import Bag, Channel
from so101_node.error import UserError

FRAMES = Channel('/frames', 'std_msgs/msg/String', 10, False, True)
STATES = Channel('/states', 'std_msgs/msg/Bool', 100, True, False)
WRITTEN = [(FRAMES if n % 3 else STATES, n, b'%d' % n * n) for n in range(1, 20)]


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp('bags') / 'one'
    bag = Bag(folder, [FRAMES, STATES])
    for channel, time, data in WRITTEN:
        bag.write(channel.topic, data, time)
        if time % 5 == 0:
            bag.flush()
    bag.close()
    return (folder / 'one.mcap').read_bytes()


def read(path: Path, data: bytes) -> list[tuple[Channel, int, bytes]]:
    path.write_bytes(data)
    return list(bag_scan.messages(path))


def test_a_whole_file_is_read_in_the_order_of_writing(tmp_path: Path, whole: bytes) -> None:
    assert read(tmp_path / 'file', whole) == WRITTEN


def test_cut_off_anywhere_what_is_whole_is_read(tmp_path: Path, whole: bytes) -> None:
    before = 0
    for length in (*range(0, len(whole), 5), len(whole)):
        found = read(tmp_path / 'file', whole[:length])
        assert found == WRITTEN[: len(found)]
        assert len(found) >= before  # some bytes more are no message less
        before = len(found)
    assert before == len(WRITTEN)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), damage=st.binary(min_size=1, max_size=12))
def test_damage_never_raises_anything_but_ends_the_reading(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, at: int, damage: bytes
) -> None:
    at = 8 + at % (len(whole) - 8)  # behind what says that it is MCAP
    path = tmp_path_factory.getbasetemp() / 'damaged'
    found = read(path, whole[:at] + damage + whole[at + len(damage) :])
    assert len(found) <= len(WRITTEN)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('#ROSBAG V2.0')
    with pytest.raises(UserError, match='is not an MCAP file'):
        list(bag_scan.messages(tmp_path / 'file'))
