"""What a killed recorder left becomes a whole episode, however often it is tried."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from so101_episodes import salvage
from so101_episodes.bag import Bag, Channel
from so101_episodes.claim import Claim
from so101_episodes.episode import FILE, PARTIAL, Episode, TopicCount
from so101_episodes.salvage import REASON

STORE = get_typestore(Stores.ROS2_JAZZY)
STRING = 'std_msgs/msg/String'
FRAMES = Channel('/frames', STRING, depth=10, reliable=False, latched=False)
TASK = Channel('/policy/task', STRING, depth=1, reliable=True, latched=True)
START = 1_700_000_000_000_000_000
NONE = {c.topic: TopicCount(STRING, 0, None, None, 0.0) for c in (FRAMES, TASK)}
DRAFT = replace(Episode.begun(START, 'rollout', 'a task', 'last', 'bin 2'), topics=NONE)


def serialized(text: str) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[STRING](data=text), STRING))


def orphan(recordings: Path, messages: int, draft: Episode | None = DRAFT) -> Path:
    """Leave an episode as a recorder does that is killed after these messages, 0.1 s apart."""
    folder = recordings / PARTIAL / 'one'
    bag = Bag(folder, [FRAMES, TASK])
    for n in range(messages):
        bag.write('/frames', serialized(f'frame {n}'), START + (n + 1) * 100_000_000)
    bag.flush()
    bag.abandon()
    if draft is not None:
        draft.save(folder)
    return folder


def salvaged(recordings: Path) -> tuple[list[Path], list[str], list[str]]:
    told: list[str] = []
    warned: list[str] = []
    return salvage.salvage(recordings, told.append, warned.append), told, warned


def frames(folder: Path) -> list[str]:
    with Reader(folder) as reader:
        return [
            STORE.deserialize_cdr(data, connection.msgtype).data
            for connection, _, data in reader.messages()
        ]


def test_an_orphan_becomes_an_episode_that_says_so(tmp_path: Path) -> None:
    folder = orphan(tmp_path, 20)
    done, told, warned = salvaged(tmp_path)
    assert (done, warned) == ([tmp_path / 'one'], [])
    assert f'salvaged {tmp_path / "one"}: 2.0 s' in told[-1]
    assert not folder.exists()
    episode = Episode.load(tmp_path / 'one')
    assert episode == replace(
        DRAFT,
        complete=True,
        salvaged=True,
        reason=REASON,
        ended=START + 2_000_000_000,
        duration_s=2.0,
        topics={**NONE, '/frames': TopicCount(STRING, 20, None, None, 10.0)},
        figures=episode.figures,
    )
    assert (episode.kind, episode.outcome) == ('rollout', 'unlabelled')
    assert frames(tmp_path / 'one') == [f'frame {n}' for n in range(20)]
    with Reader(tmp_path / 'one') as reader:
        qos = reader.topics['/frames'].connections[0].ext.offered_qos_profiles[0]
        assert (qos.depth, qos.reliability.name) == (10, 'BEST_EFFORT')
    assert salvaged(tmp_path) == ([], [], [])


def test_the_last_chunk_is_read_as_far_as_it_was_written(tmp_path: Path) -> None:
    folder = orphan(tmp_path, 20)
    file = folder / 'one.mcap'
    at = file.read_bytes().index(serialized('frame 15'))
    with file.open('r+b') as cut:
        cut.truncate(at + 3)
    salvaged(tmp_path)
    assert frames(tmp_path / 'one') == [f'frame {n}' for n in range(15)]
    assert Episode.load(tmp_path / 'one').topics['/frames'].messages == 15


def test_without_a_draft_the_messages_say_when_it_was(tmp_path: Path) -> None:
    orphan(tmp_path, 11, draft=None)
    salvaged(tmp_path)
    episode = Episode.load(tmp_path / 'one')
    assert (episode.started, episode.task) == (START + 100_000_000, '')
    assert episode.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize('size', [0, 100, None])
def test_an_orphan_without_a_message_is_deleted_with_a_word(
    tmp_path: Path, size: int | None
) -> None:
    folder = orphan(tmp_path, 0)
    if size is None:
        (folder / 'one.mcap').unlink()
    else:
        with (folder / 'one.mcap').open('r+b') as file:
            file.truncate(size)
    done, told, warned = salvaged(tmp_path)
    assert (done, warned) == ([], [])
    assert told[-1] == f'{folder} held no message and is deleted'
    assert not folder.exists()


@pytest.mark.parametrize(
    ('name', 'content', 'complaint'),
    [
        ('one.mcap', '#ROSBAG V2.0', 'is not an MCAP file'),
        (FILE, '{"task": ', 'delete that file to salvage the messages alone'),
        ('thesis.pdf', '', 'thesis.pdf in it is none of a recorder'),
    ],
)
def test_what_cannot_be_read_stays_and_is_named(
    tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    folder = orphan(tmp_path, 3)
    (folder / name).write_text(content)
    done, _, warned = salvaged(tmp_path)
    assert done == []
    (warning,) = warned
    assert warning.startswith(f'{folder} stays unfinished: ')
    assert complaint in warning
    assert (folder / name).read_text() == content
    assert not (tmp_path / 'one').exists()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(8, 10_000), damage=st.binary(min_size=1, max_size=8))
def test_a_damaged_one_is_salvaged_as_far_as_it_goes_or_stays(
    tmp_path: Path, at: int, damage: bytes
) -> None:
    shutil.rmtree(tmp_path)
    folder = orphan(tmp_path, 20)
    with (folder / 'one.mcap').open('r+b') as file:
        file.seek(at % file.seek(0, os.SEEK_END))
        file.write(damage)
    done, _, warned = salvaged(tmp_path)
    assert len(done) + len(warned) <= 1
    assert folder.exists() == bool(warned)
    for path in done:
        with Reader(path) as reader:
            assert reader.message_count == len(list(reader.messages()))
        assert Episode.load(path).salvaged


def test_what_somebody_records_is_left_alone(tmp_path: Path) -> None:
    claim = Claim(orphan(tmp_path, 3))
    assert salvaged(tmp_path) == ([], [], [])
    claim.release()
    assert salvaged(tmp_path)[0] == [tmp_path / 'one']


def test_it_stops_when_asked_to_and_is_done_again(tmp_path: Path) -> None:
    orphan(tmp_path, 1000)
    asked = iter([False, False, True])
    with pytest.raises(salvage.Stopped):
        salvage.salvage(tmp_path, lambda _: None, lambda _: None, lambda: next(asked))
    assert not (tmp_path / 'one').exists()
    assert salvaged(tmp_path)[0] == [tmp_path / 'one']
    assert len(frames(tmp_path / 'one')) == 1000


def test_killed_before_the_end_it_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = orphan(tmp_path, 3)
    (folder / 'salvage' / 'one').mkdir(parents=True)  # killed while it wrote
    (folder / 'salvage' / 'one' / 'one.mcap').write_text('half')
    salvaged(tmp_path)
    assert len(frames(tmp_path / 'one')) == 3

    shutil.copytree(tmp_path / 'one', folder)  # killed before it tidied up
    assert salvaged(tmp_path) == ([], [], [])
    assert not folder.exists()

    (tmp_path / 'one').rename(folder)  # the recorder was, before the final name
    assert salvaged(tmp_path)[0] == [tmp_path / 'one']
    assert len(frames(tmp_path / 'one')) == 3


def test_without_room_it_stays_until_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = orphan(tmp_path, 3)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=10))
    _, _, (warning,) = salvaged(tmp_path)
    assert 'make room, then: so101 salvage' in warning
    assert folder.exists()
    monkeypatch.undo()
    assert salvaged(tmp_path)[0] == [tmp_path / 'one']


def command(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, '-m', 'so101_episodes.salvage', *words], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_says_what_it_did_and_fails_for_what_it_could_not(tmp_path: Path) -> None:
    assert command(str(tmp_path)) == (0, f'{tmp_path}: nothing is unfinished\n', '')
    folder = orphan(tmp_path, 3)
    code, out, error = command(str(tmp_path))
    assert (code, error) == (0, '')
    assert f'salvaged {tmp_path / "one"}' in out
    folder.mkdir()
    (folder / 'thesis.pdf').touch()
    shutil.rmtree(tmp_path / 'one')
    code, out, error = command(str(tmp_path))
    assert (code, out) == (1, '')
    assert error.startswith(f'salvage: {folder} stays unfinished: ')
    code, _, error = command(str(tmp_path / 'nowhere'))
    assert (code, error) == (
        1,
        f'salvage: {tmp_path}/nowhere: no such folder; give the folder of the episodes\n',
    )
