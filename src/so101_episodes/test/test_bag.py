"""A bag is safe from a kill once it is flushed, and says what its messages are as ROS does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from so101_episodes import bag_scan
from so101_episodes.bag import Bag, Channel
from so101_episodes.recorder_node import recorded
from so101_node.topics import CAMERAS, Topic

FRAMES = Channel('/frames', 'std_msgs/msg/String', 10, True, False)
NEEDED = re.compile(r'^(\w+/\w+)\S* ', re.MULTILINE)


def channels() -> list[Channel]:
    return [Channel(f'/{t.name}', t.type_name, 10, True, False) for t in recorded(CAMERAS)]


def test_what_was_flushed_is_in_the_file_and_what_was_not_is_not(tmp_path: Path) -> None:
    bag = Bag(tmp_path / 'one', [FRAMES])
    bag.flush()  # of nothing
    for number in range(3):
        bag.write('/frames', b'\0\1\0\0%d' % number, number)
    file = tmp_path / 'one' / 'one.mcap'
    assert list(bag_scan.messages(file)) == []
    bag.flush()
    bag.write('/frames', b'\0\1\0\0later', 3)
    assert [(time, data[4:]) for _, time, data in bag_scan.messages(file)] == [
        (0, b'0'),
        (1, b'1'),
        (2, b'2'),
    ]
    bag.close()
    with Reader(tmp_path / 'one') as reader:
        assert reader.message_count == 4
        assert [time for _, time, _ in reader.messages()] == [0, 1, 2, 3]


@pytest.mark.parametrize('topic', {t.type_name: t for t in recorded(CAMERAS)}.values())
def test_the_definition_of_each_type_is_that_of_ros(tmp_path: Path, topic: Topic) -> None:
    bag = Bag(tmp_path / 'one', channels())
    bag.close()
    with (tmp_path / 'one' / 'one.mcap').open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    (schema,) = [s for s in summary.schemas.values() if s.name == topic.type_name]
    assert schema.encoding == 'ros2msg'
    # The type's own fields, and then those of every type that it needs.
    first, *needed = schema.data.decode().split('=' * 80 + '\n')
    written = {topic.type_name.replace('/msg/', '/'): first}
    for part in needed:
        name, fields = part.split('\n', 1)
        written[name.removeprefix('MSG: ')] = fields
    assert {name: _fields(text, name) for name, text in written.items()} == dict(
        _installed(topic.type_name.replace('/msg/', '/'))
    )


def test_the_hash_of_each_type_is_that_of_ros(tmp_path: Path) -> None:
    Bag(tmp_path / 'one', channels()).close()
    with Reader(tmp_path / 'one') as reader:
        assert len(reader.connections) == len(channels())
        for connection in reader.connections:
            package, _, name = connection.msgtype.split('/')
            share = Path(get_package_share_directory(package))
            hashes = json.loads((share / 'msg' / f'{name}.json').read_text())['type_hashes']
            (of_ros,) = [h for h in hashes if h['type_name'] == connection.msgtype]
            assert connection.digest == of_ros['hash_string']


def test_a_bag_is_read_whole_when_the_clock_was_set_back_or_forward(tmp_path: Path) -> None:
    times = [10**18 + n for n in (0, 10, 20)]
    times += [time - 3600 * 10**9 for time in times] + [time + 10**16 for time in times]
    bag = Bag(tmp_path / 'one', [FRAMES])
    for number, time in enumerate(times):
        bag.write('/frames', b'\0\1\0\0%d' % number, time)
        if number % 2:
            bag.flush()
    bag.close()
    with Reader(tmp_path / 'one') as reader:
        assert [time for _, time, _ in reader.messages()] == sorted(times)
        assert reader.duration == max(times) - min(times) + 1
    with (tmp_path / 'one' / 'one.mcap').open('rb') as file:
        assert [m.log_time for _, _, m in make_reader(file).iter_messages()] == sorted(times)
    file_order = bag_scan.messages(tmp_path / 'one' / 'one.mcap')
    assert [time for _, time, _ in file_order] == times


def _installed(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a type and all that it needs, with their fields as the ROS packages define them."""
    todo, seen = [name], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        package, kind = name.split('/')
        text = (Path(get_package_share_directory(package)) / 'msg' / f'{kind}.msg').read_text()
        fields = _fields(text, name)
        todo += [found for field in fields for found in NEEDED.findall(field)]
        yield name, fields


def _fields(text: str, of: str) -> list[str]:
    """Return fields and constants: types with their packages, without comments and blanks."""
    lines = [' '.join(line.split('#')[0].split()) for line in text.splitlines()]
    here = Path(get_package_share_directory(of.split('/')[0])) / 'msg'
    found = []
    for line in filter(None, lines):
        kind, rest = line.split(' ', 1)
        bare = kind.split('[')[0]
        if '/' not in kind and (here / f'{bare}.msg').exists():
            kind = f'{of.split("/")[0]}/{kind}'
        if kind == 'Header':
            kind = 'std_msgs/Header'
        found.append(f'{kind} {rest}'.replace(' = ', '=').replace(' =', '=').replace('= ', '='))
    return found
