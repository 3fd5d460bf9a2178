"""A recording is whole under its final name, or is under .partial."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from so101_episodes.bag import Channel
from so101_episodes.episode import PARTIAL, Episode
from so101_episodes.recording import Recording
from so101_episodes.salvage import salvage
from so101_node.error import UserError

STORE = get_typestore(Stores.ROS2_JAZZY)
STRING = 'std_msgs/msg/String'
TASK = Channel('/policy/task', STRING, depth=1, reliable=True, latched=True)
FRAMES = Channel('/frames', STRING, depth=10, reliable=False, latched=False)
START = 1_700_000_000_000_000_000


def serialized(text: str) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[STRING](data=text), STRING))


def info(number: int) -> dict[str, int]:
    stamp = START + number * 1000
    return {
        'publication_sequence_number': number,
        'received_timestamp': stamp,
        'source_timestamp': stamp,
    }


DRAFT = Episode.begun(START, 'rollout', 'a task', 'a checkpoint', '')


def finish(recording: Recording, outcome: str = 'success') -> Path:
    episode = replace(DRAFT, outcome=outcome, ended=START + 2_000_000_000, duration_s=2.0)
    return recording.finish(episode, lambda episode, _: episode)


def test_the_bag_holds_every_message_and_the_definitions_to_decode_it(tmp_path: Path) -> None:
    recording = Recording(tmp_path, 'one', [TASK, FRAMES], DRAFT)
    for number in range(1, 101):
        recording.add('/frames', serialized(f'frame {number}'), info(number))
    path = finish(recording)
    assert path == tmp_path / 'one'
    with Reader(path) as reader:
        assert reader.message_count == 100
        read = [
            (stamp, STORE.deserialize_cdr(data, connection.msgtype).data)
            for connection, stamp, data in reader.messages()
        ]
        assert read == [(START + n * 1000, f'frame {n}') for n in range(1, 101)]
        task, frames = (
            reader.topics[topic].connections[0] for topic in ('/policy/task', '/frames')
        )
        assert frames.msgdef.data.strip() == 'string data'
        assert frames.digest == STORE.hash_rihs01(STRING)
        (qos,) = task.ext.offered_qos_profiles
        assert qos.durability == QosDurability.TRANSIENT_LOCAL
        assert qos.reliability == QosReliability.RELIABLE
        (qos,) = frames.ext.offered_qos_profiles
        assert qos.durability == QosDurability.VOLATILE
        assert qos.reliability == QosReliability.BEST_EFFORT


def test_the_episode_file_counts_messages_and_losses(tmp_path: Path) -> None:
    recording = Recording(tmp_path, 'one', [TASK, FRAMES], DRAFT, many_publishers=['/policy/task'])
    for number in (7, 8, 11):  # 9 and 10 were lost
        recording.add('/frames', b'\0\1\0\0', info(number))
        recording.add('/policy/task', b'\0\1\0\0', info(number))
    assert recording.lost == 2
    episode = Episode.load(finish(recording, 'failure'))
    assert (episode.outcome, episode.task, episode.duration_s) == ('failure', 'a task', 2.0)
    frames = episode.topics['/frames']
    assert (frames.messages, frames.published, frames.lost) == (3, 5, 2)
    assert frames.rate_hz == 1.5
    task = episode.topics['/policy/task']
    assert (task.messages, task.published, task.lost) == (3, None, None)


def test_a_number_that_goes_back_is_another_publisher_and_no_loss(tmp_path: Path) -> None:
    recording = Recording(tmp_path, 'one', [FRAMES], DRAFT)
    for number in (40, 41, 1, 2):
        recording.add('/frames', b'\0\1\0\0', info(number))
    frames = Episode.load(finish(recording)).topics['/frames']
    assert (frames.messages, frames.published, frames.lost) == (4, 4, 0)


def test_what_a_full_queue_does_not_take_is_counted_as_lost(tmp_path: Path) -> None:
    recording = Recording(tmp_path, 'one', [FRAMES], DRAFT, queue_size=0)
    for number in range(10):
        recording.add('/frames', b'\0\1\0\0', info(number))
    assert recording.lost == 10
    frames = Episode.load(finish(recording)).topics['/frames']
    assert (frames.messages, frames.published, frames.lost) == (0, 10, 10)


def test_an_episode_without_messages_opens(tmp_path: Path) -> None:
    with Reader(finish(Recording(tmp_path, 'one', [FRAMES], DRAFT))) as reader:
        assert list(reader.messages()) == []


def test_an_unfinished_episode_has_no_final_name_and_a_discarded_one_none(tmp_path: Path) -> None:
    recording = Recording(tmp_path, 'one', [FRAMES], DRAFT)
    assert not (tmp_path / 'one').exists()
    assert (tmp_path / PARTIAL / 'one').exists()
    recording.discard()
    assert list(tmp_path.iterdir()) == [tmp_path / PARTIAL]
    assert list((tmp_path / PARTIAL).iterdir()) == []


ENDLESS = """
import sys
from itertools import count
from pathlib import Path
from so101_episodes.bag import Channel
from so101_episodes.episode import Episode
from so101_episodes.recording import Recording
recordings = Path(sys.argv[1])
channels = [Channel('/frames', 'std_msgs/msg/String', 10, False, False)]
draft = Episode.begun(0, '', '', '', '')
for episode in count():
    recording = Recording(recordings, str(episode), channels, draft)
    for n in range(100):
        stamps = dict.fromkeys(('received_timestamp', 'source_timestamp'), n)
        recording.add('/frames', bytes(60_000), {'publication_sequence_number': n, **stamps})
    recording.finish(draft, lambda episode, _: episode)
    print(episode, flush=True)
"""


@pytest.mark.parametrize('finished', [1, 2, 4])
def test_a_kill_leaves_only_whole_episodes_under_final_names(
    tmp_path: Path, finished: int
) -> None:
    with subprocess.Popen(
        [sys.executable, '-c', ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(finished):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    episodes = [path for path in tmp_path.iterdir() if path.name != PARTIAL]
    assert len(episodes) >= finished
    for path in episodes:
        assert Episode.load(path).topics['/frames'].messages == 100
        with Reader(path) as reader:
            assert sum(1 for _ in reader.messages()) == 100


@pytest.fixture
def small_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_ends_the_recording_with_what_to_do(
    tmp_path: Path, small_files: None
) -> None:
    recording = Recording(tmp_path, 'one', [FRAMES], DRAFT)
    for number in range(100):
        recording.add('/frames', bytes(60_000), info(number))
    assert wait([recording.writing], timeout=10).done
    error = recording.writing.exception()
    assert isinstance(error, UserError)
    assert f'cannot write {tmp_path / PARTIAL / "one"}: File too large; make room' in str(error)
    with pytest.raises(UserError, match='File too large'):
        finish(recording)
    recording.abandon()
    assert not (tmp_path / 'one').exists()
    assert (tmp_path / PARTIAL / 'one' / 'one.mcap').stat().st_size > 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    if os.geteuid() != 0:
        pytest.skip('mounting a small disk needs root')
    command = ['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', str(tmp_path)]
    mounted = subprocess.run(command, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f'no mounting here: {mounted.stderr.decode().strip()}')
    yield tmp_path
    subprocess.run(['umount', str(tmp_path)], check=True)


def test_a_disk_too_full_for_the_index_leaves_the_episode_unfinished(small_disk: Path) -> None:
    (small_disk / 'other').write_bytes(bytes(2 * 2**20))
    recording = Recording(small_disk, 'one', [FRAMES], DRAFT)
    for number in range(17):  # not yet the size of a chunk, so written at the end
        recording.add('/frames', bytes(61_440), info(number))
    with pytest.raises(UserError, match='No space left on device; make room'):
        finish(recording)
    assert not (small_disk / 'one').exists()
    assert not Episode.load_draft(small_disk / PARTIAL / 'one').complete


def test_what_a_full_disk_took_is_salvaged_once_there_is_room(small_disk: Path) -> None:
    recording = Recording(small_disk, 'one', [FRAMES], DRAFT)
    for number in range(100):
        recording.add('/frames', serialized('x' * 60_000), info(number))
    assert wait([recording.writing], timeout=10).done
    assert isinstance(recording.writing.exception(), UserError)
    recording.abandon()
    warned: list[str] = []
    assert salvage(small_disk, lambda _: None, warned.append) == []
    assert 'make room' in warned[0]
    subprocess.run(['mount', '-o', 'remount,size=9m', str(small_disk)], check=True)
    assert salvage(small_disk, lambda _: None, warned.append) == [small_disk / 'one']
    with Reader(small_disk / 'one') as reader:
        stamps = [stamp for _, stamp, _ in reader.messages()]
    assert stamps == [START + n * 1000 for n in range(len(stamps))]
    assert len(stamps) * 60_000 > 0.9 * 3 * 2**20  # all that there was room for
