"""What Fast DDS shares with other processes goes with its node, however that ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_node.shared_memory import DIRECTORY, free_left

PROGRAM = """
from so101_node.node import Node, run

class Example(Node):
    def __init__(self):
        super().__init__('example')

    def open(self):
        print('open', flush=True)

run(Example)
"""


class Example:
    """A node in a process, and the segments that it shares."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == 'open\n'
        held = [file.readlink() for file in Path(f'/proc/{self.process.pid}/fd').iterdir()]
        self._locks = [
            path for path in held if path.match('/dev/shm/fast*_el') and 'port' not in path.name
        ]
        self.segments = [path.with_name(path.name[: -len('_el')]) for path in self._locks]
        assert sum(segment.stat().st_size for segment in self.segments) > 32e6

    @property
    def left(self) -> list[Path]:
        return [path for path in (*self.segments, *self._locks) if path.exists()]

    def settle(self) -> None:
        """Let its locks be a minute old."""
        for lock in filter(Path.exists, self._locks):
            minute_ago = lock.stat().st_mtime - 60
            os.utime(lock, (minute_ago, minute_ago))

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.communicate(timeout=20)


@pytest.fixture
def example() -> Iterator[Example]:
    if not DIRECTORY.is_dir():
        pytest.skip(f'{DIRECTORY} is not there: nothing is shared')
    example = Example()
    yield example
    example.end(signal.SIGKILL)
    example.settle()
    free_left()


def test_a_node_that_ends_leaves_nothing(example: Example) -> None:
    example.end(signal.SIGTERM)
    assert example.process.returncode == 0
    assert example.left == []


def test_what_a_killed_node_left_is_freed_by_the_next_one(example: Example) -> None:
    example.end(signal.SIGKILL)
    assert len(example.left) == 2 * len(example.segments)
    free_left()
    assert len(example.left) == 2 * len(example.segments)  # they may be just being made
    example.settle()
    Example().end(signal.SIGTERM)
    assert example.left == []


def test_what_a_living_node_shares_stays(example: Example) -> None:
    example.settle()
    free_left()
    assert len(example.left) == 2 * len(example.segments)


def test_where_nothing_is_shared_nothing_is_freed(tmp_path: Path) -> None:
    free_left(tmp_path / 'none')
    other = tmp_path / 'fastrtps_port7000_el'
    other.touch()
    os.utime(other, (0, 0))
    free_left(tmp_path)
    assert other.exists()
