"""The convert command, from recordings on disk to what LeRobot reads."""

import json
import logging
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.compute_stats import compute_episode_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from PIL import Image
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import images_of
from so101_node.error import UserError
from so101_policy.features import pixels
from so101_training import check, convert
from so101_training.conversion import piece
from so101_training.conversion.draft import Draft
from so101_training.conversion.piece import Settings
from so101_training.conversion.video import Codec

Recording = Callable[..., Path]


def run(*words: str | Path) -> int:
    """Run the command here; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        convert.main(['--jobs', '1', *map(str, words)])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def opened(folder: Path) -> LeRobotDataset:
    return LeRobotDataset('local/test', root=folder, video_backend='pyav')


@pytest.fixture(scope='module')
def converted(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two episodes, out of recordings beside it."""
    folder = tmp_path_factory.mktemp('converted')
    recording(folder / 'recordings' / 'a', seconds=1.5)
    recording(folder / 'recordings' / 'b', seconds=1.2, outcome='failure', reason='dropped it')
    words = (folder / 'recordings', '--out', folder / 'dataset', '--outcome', 'all')
    assert run(*words, '--jobs', '2') == 0
    return folder


def test_lerobot_opens_it_as_its_own_without_a_warning(
    converted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter('error')
        data = LeRobotDataset(
            'local/test',
            root=converted / 'dataset',
            delta_timestamps={'action': [i / 30 for i in range(50)]},
            tolerance_s=1e-4,
        )
        item = data[len(data) - 1]
    assert not caplog.records
    assert data.num_episodes == 2
    assert data.meta.robot_type == 'so101_follower'
    assert item['task'] == 'Pick up the cube and place it in the bowl'
    assert item['action'].shape == (50, 6)
    assert item['action_is_pad'].sum() == 49
    assert item['observation.images.wrist'].shape == (3, 480, 640)
    for index in range(len(data)):  # every timestamp is within LeRobot's tolerance of a frame
        assert data[index]['observation.state'].dtype == torch.float32


def test_outcome_reason_and_source_are_kept(converted: Path) -> None:
    episodes = opened(converted / 'dataset').meta.episodes
    assert episodes['outcome'] == ['success', 'failure']
    assert episodes['reason'] == ['', 'dropped it']
    assert episodes['source'] == ['a', 'b']
    conversion = json.loads((converted / 'dataset/meta/conversion.json').read_text())
    assert [Path(e['source']).name for e in conversion['episodes']] == ['a', 'b']


def test_the_frames_are_those_that_were_recorded(converted: Path) -> None:
    """Every frame is nearer to the image it was made of than to any other, and close to it."""
    data = opened(converted / 'dataset')
    settings = Settings(30, ('wrist', 'overhead'), 0.2, 0.05, Codec())
    source = converted / 'recordings' / 'a'
    frames = piece.plan(source, settings)
    bag = RecordedBag(source)
    for camera, numbers in frames.images.items():
        recorded = images_of(bag, camera)
        images = [pixels(m, 'topic') for _, _, m in bag.messages(recorded)]
        noise = []
        for index, number in enumerate(numbers.tolist()):
            shown = data[index][f'observation.images.{camera}'].permute(1, 2, 0).numpy() * 255
            errors = [
                float(np.mean((shown - images[n].astype(np.float32)) ** 2))
                for n in range(max(number - 2, 0), min(number + 3, len(images)))
            ]
            assert int(np.argmin(errors)) + max(number - 2, 0) == number
            noise.append(min(errors))
        assert 10 * np.log10(255**2 / np.mean(noise)) > 36


def test_the_statistics_are_lerobots_own(converted: Path, tmp_path: Path) -> None:
    """As its compute_episode_stats gives them for the recorded images, to the bit."""
    data = opened(converted / 'dataset')
    settings = Settings(30, ('wrist', 'overhead'), 0.2, 0.05, Codec())
    source = converted / 'recordings' / 'a'
    frames = piece.plan(source, settings)
    rows: dict[str, Any] = {}
    for camera, numbers in frames.images.items():
        bag = RecordedBag(source)
        images = [pixels(m, '') for _, _, m in bag.messages(images_of(bag, camera))]
        files = []
        for index, number in enumerate(numbers.tolist()):
            files.append(str(tmp_path / f'{camera}{index}.png'))
            Image.fromarray(images[number]).save(files[-1], compress_level=1)
        rows[f'observation.images.{camera}'] = files
    table = pq.read_table(converted / 'dataset/data', filters=[('episode_index', '=', 0)])
    for name in ('observation.state', 'action'):
        rows[name] = np.array(table.column(name).to_pylist(), np.float32)
    # LeRobot (save_episode) has them in 64 bits until they are written.
    rows['timestamp'] = np.stack([index / 30 for index in range(len(frames.times))])
    wanted = compute_episode_stats(rows, {name: data.meta.features[name] for name in rows})
    found = pq.read_table(converted / 'dataset/meta/episodes').to_pylist()[0]
    for feature, statistics in wanted.items():
        for name, value in statistics.items():
            np.testing.assert_array_equal(
                np.ravel(found[f'stats/{feature}/{name}']),
                np.ravel(value),
                err_msg=f'{feature} {name}',
            )


@pytest.mark.parametrize('raw', [False, True], ids=['jpeg', 'raw'])
@pytest.mark.parametrize(
    ('plugin', 'compression'),
    [
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_any_bag_is_converted(
    tmp_path: Path,
    recording: Recording,
    plugin: StoragePlugin,
    compression: CompressionMode,
    raw: bool,
) -> None:
    recording(
        tmp_path / 'bag',
        seconds=0.5,
        outcome=None,
        raw=raw,
        plugin=plugin,
        compression=compression,
        namespace='/arm1',
    )
    words = (tmp_path / 'bag', '--out', tmp_path / 'out', '--outcome', 'unlabelled')
    assert run(*words) == 0
    data = opened(tmp_path / 'out')
    assert len(data) >= 13
    assert data[0]['task'] == 'Pick up the cube and place it in the bowl'


def test_a_broken_bag_is_named_and_the_rest_goes_on(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = tmp_path / 'bags'

    def without(topic: str) -> Callable[[list], list]:
        return lambda messages: [m for m in messages if not m[0].startswith(topic)]

    def five_joints(messages: list) -> list:
        for message in messages:
            if message[0] == '/joint_states':
                message[3]['name'] = message[3]['name'][:5]
                message[3]['position'] = message[3]['position'][:5]
        return messages

    def set_back(messages: list) -> list:
        changed = []
        for topic, kind, received, fields in messages:
            if topic == '/joint_states' and received > messages[0][2] + 250_000_000:
                stamp = fields['header'].stamp
                fields['header'].stamp = type(stamp)(sec=stamp.sec - 3, nanosec=stamp.nanosec)
            changed.append((topic, kind, received, fields))
        return changed

    def other_clock(messages: list) -> list:
        for topic, _, _, fields in messages:
            if 'overhead' in topic:
                stamp = fields['header'].stamp
                fields['header'].stamp = type(stamp)(sec=stamp.sec - 1, nanosec=stamp.nanosec)
        return messages

    def silent(messages: list) -> list:
        begin = messages[0][2]
        return [
            m
            for m in messages
            if not ('overhead' in m[0] and 150_000_000 < m[2] - begin < 450_000_000)
        ]

    recording(bags / '0_good', seconds=0.6)
    recording(bags / '1_no_camera', seconds=0.6, edit=without('/overhead'))
    recording(bags / '2_no_states', seconds=0.6, edit=without('/joint_states'))
    recording(bags / '3_no_action', seconds=0.6, edit=without('/arm_controller'))
    recording(bags / '4_five_joints', seconds=0.6, edit=five_joints)
    recording(bags / '5_back', seconds=0.6, edit=set_back)
    recording(bags / '6_silent', seconds=0.6, edit=silent)
    recording(bags / '7_cut', seconds=0.6)
    file = next((bags / '7_cut').glob('*.mcap'))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    recording(bags / '8_unfinished', seconds=0.6)
    (bags / '8_unfinished/metadata.yaml').unlink()
    recording(bags / '9_empty', seconds=0.6, edit=lambda messages: [])
    recording(bags / '9_no_task', seconds=0.6, task='')
    recording(bags / '9_too_short', seconds=0.04)
    recording(bags / '9_other_clock', seconds=0.6, edit=other_clock)
    (bags / 'notes').mkdir()

    assert run(bags, '--out', tmp_path / 'out') == 3
    data = opened(tmp_path / 'out')
    assert data.num_episodes == 1
    said = capsys.readouterr().err
    for name, why in {
        '1_no_camera': 'no images of the overhead camera',
        '2_no_states': 'no message on joint_states',
        '3_no_action': 'no action',
        '4_five_joints': 'gripper',
        '5_back': 'runs back by',
        '6_silent': 'newest overhead image was 0.2',
        '7_cut': 'broken',
        '8_unfinished': 'no metadata.yaml',
        '9_empty': 'no message',
        '9_no_task': '--task',
        '9_too_short': 'record it again',
        '9_other_clock': 'of another clock',
    }.items():
        line = next(line for line in said.splitlines() if f' {name}: ' in line)
        assert line.startswith('skipped: ') and why in line
    left_out = json.loads((tmp_path / 'out/meta/conversion.json').read_text())['left_out']
    assert len(left_out) == 12


def test_nothing_is_written_when_nothing_can_be_converted(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / 'bags' / 'a', seconds=0.04)
    assert run(tmp_path / 'bags', '--out', tmp_path / 'out') == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bags']
    assert 'nothing was written' in capsys.readouterr().err


def test_episodes_are_chosen_by_outcome_and_number(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, outcome in zip('abcd', ('success', 'failure', 'success', 'success'), strict=True):
        recording(tmp_path / 'bags' / name, seconds=0.4, outcome=outcome)
    assert run(tmp_path / 'bags', '--list') == 0
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert listed == [['0', 'a'], ['1', 'b'], ['2', 'c'], ['3', 'd']]
    assert run(tmp_path / 'bags', '--out', tmp_path / 'out', '--exclude', '2') == 0
    assert opened(tmp_path / 'out').meta.episodes['source'] == ['a', 'd']
    assert run(tmp_path / 'bags', '--out', tmp_path / 'no', '--exclude', '7') == 1
    assert run(tmp_path / 'bags', '--out', tmp_path / 'no', '--outcome', 'fine') == 1
    assert not (tmp_path / 'no').exists()


def test_a_dataset_is_appended_to(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    recording(tmp_path / 'bags' / 'a', seconds=0.5)
    assert run(tmp_path / 'bags', '--out', out) == 0
    before = [{name: opened(out)[i][name] for name in ('action', 'index')} for i in range(5)]
    recording(tmp_path / 'bags' / 'b', seconds=0.7, task='Another task')
    assert run(tmp_path / 'bags', '--out', out) == 1  # it exists
    capsys.readouterr()
    assert run(tmp_path / 'bags', '--out', out, '--append', '--gop', '5') == 1  # other settings
    said = capsys.readouterr().err
    assert 'converted with g 2, not 5' in said and 'together' not in said
    assert opened(out).num_episodes == 1
    (out / 'README.md').write_text('what this is')
    assert run(tmp_path / 'bags', '--out', out, '--append') == 0
    data = opened(out)
    assert data.meta.episodes['source'] == ['a', 'b']
    assert data.num_frames == sum(data.meta.episodes['length'])
    items = [data[i] for i in range(len(data))]
    assert [int(item['index']) for item in items] == list(range(len(data)))
    assert {item['task'] for item in items} == {
        'Pick up the cube and place it in the bowl',
        'Another task',
    }
    for had, item in zip(before, items, strict=False):
        assert torch.equal(had['action'], item['action'])
    manifest = pq.read_table(out / 'meta/manifest.parquet')
    assert set(manifest.column('episode_index').to_pylist()) == {0, 1}
    assert (out / 'README.md').read_text() == 'what this is'
    # Known again wherever it lies and whatever its label.
    shutil.move(tmp_path / 'bags' / 'b', tmp_path / 'bags' / 'c')
    text = (tmp_path / 'bags/c/episode.json').read_text()
    (tmp_path / 'bags/c/episode.json').write_text(text.replace('"success"', '"failure"'))
    capsys.readouterr()
    assert run(tmp_path / 'bags', '--out', out, '--append', '--outcome', 'all') == 0
    assert "'success' in the dataset, 'failure' in the recording" in capsys.readouterr().err
    assert opened(out).num_episodes == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bags', 'out']


def test_a_killed_conversion_goes_on_from_where_it_was(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        recording(tmp_path / 'bags' / f'{number}', seconds=1.0)
    out = tmp_path / 'out'
    words = [tmp_path / 'bags', '--out', out, '--preset', 'placebo']
    command = [sys.executable, '-m', 'so101_training.convert', *map(str, words), '--jobs', '1']
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    pieces = tmp_path / '.out.partial' / 'pieces'
    deadline = time.monotonic() + 60
    while len(list(pieces.glob('*[!h]/piece.json'))) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    before = len(list(pieces.glob('*[!h]/piece.json')))
    assert run(*words) == 0
    assert f'{before} of them were converted before' in capsys.readouterr().err
    data = opened(out)
    assert data.meta.episodes['source'] == ['0', '1', '2', '3', '4', '5']
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bags', 'out']


def test_a_dataset_between_two_renames_is_put_back(tmp_path: Path, recording: Recording) -> None:
    out = tmp_path / 'out'
    recording(tmp_path / 'bags' / 'a', seconds=0.4)
    assert run(tmp_path / 'bags', '--out', out) == 0
    (tmp_path / '.out.partial').mkdir()
    shutil.move(out, tmp_path / '.out.partial' / 'old')
    recording(tmp_path / 'others' / 'b', seconds=0.5)
    assert run(tmp_path / 'others', '--out', out) == 1  # it exists: it was put back
    assert run(tmp_path / 'others', '--out', out, '--append') == 0
    assert opened(out).meta.episodes['source'] == ['a', 'b']


def test_a_copy_of_a_recording_is_converted_once(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / 'bags' / 'a', seconds=0.5)
    shutil.copytree(tmp_path / 'bags' / 'a', tmp_path / 'bags' / 'b')
    assert run(tmp_path / 'bags', '--out', tmp_path / 'out') == 0
    assert 'not added: 1 b: the same recording as a' in capsys.readouterr().err
    assert opened(tmp_path / 'out').num_episodes == 1
    # It counts when the one before it is not wanted.
    assert run(tmp_path / 'bags', '--out', tmp_path / 'other', '--exclude', '0') == 0
    assert opened(tmp_path / 'other').meta.episodes['source'] == ['b']


def test_what_the_checks_took_out_is_not_added_again(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in 'ab':
        recording(tmp_path / 'bags' / name, seconds=0.5)
    assert run(tmp_path / 'bags', '--out', tmp_path / 'out') == 0
    with pytest.raises(SystemExit) as ended:
        check.main([str(tmp_path / 'out'), '--fix', str(tmp_path / 'fixed'), '--exclude', '1'])
    assert not ended.value.code
    words = (tmp_path / 'bags', '--out', tmp_path / 'fixed', '--append')
    recording(tmp_path / 'bags' / 'c', seconds=0.5)
    assert run(*words, '--exclude', '1') == 0  # for another reason, too
    capsys.readouterr()
    assert run(*words) == 0
    assert 'not added: 1 b: taken out by check --fix' in capsys.readouterr().err
    assert opened(tmp_path / 'fixed').meta.episodes['source'] == ['a', 'c']


def test_fixing_leaves_an_unfinished_conversion_alone(
    tmp_path: Path, recording: Recording
) -> None:
    recording(tmp_path / 'a', seconds=0.5)
    assert run(tmp_path / 'a', '--out', tmp_path / 'out') == 0
    unfinished = tmp_path / '.fixed.partial' / 'pieces' / 'x'
    unfinished.mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        check.main([str(tmp_path / 'out'), '--fix', str(tmp_path / 'fixed')])
    assert not ended.value.code
    assert unfinished.is_dir()


def test_what_appears_in_its_place_meanwhile_is_kept(tmp_path: Path, recording: Recording) -> None:
    recording(tmp_path / 'bags' / 'a', seconds=0.4)
    out = tmp_path / 'out'
    draft = Draft(out)
    draft.dataset.mkdir()
    out.mkdir()
    (out / 'precious').touch()
    with pytest.raises(UserError, match='appeared'):
        draft.publish()
    draft.close()
    assert (out / 'precious').exists()


def test_a_damaged_dataset_is_not_appended_to(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / 'bags' / 'a', seconds=0.4)
    out = tmp_path / 'out'
    assert run(tmp_path / 'bags', '--out', out) == 0
    manifest = (out / 'meta/manifest.parquet').read_bytes()
    (out / 'meta/manifest.parquet').write_bytes(manifest[:50])
    assert run(tmp_path / 'bags', '--out', out, '--append') == 1
    (out / 'meta/manifest.parquet').write_bytes(manifest)
    known = json.loads((out / 'meta/conversion.json').read_text())
    del known['settings']['codec']
    (out / 'meta/conversion.json').write_text(json.dumps(known))
    assert run(tmp_path / 'bags', '--out', out, '--append') == 1
    said = capsys.readouterr().err
    assert 'manifest.parquet' in said and 'codec is None' in said


def test_a_link_to_a_dataset_stays_one(tmp_path: Path, recording: Recording) -> None:
    recording(tmp_path / 'bags' / 'a', seconds=0.4)
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'disk' / 'dataset')
    assert run(tmp_path / 'bags', '--out', tmp_path / 'link') == 0
    assert (tmp_path / 'link').is_symlink()
    assert opened(tmp_path / 'disk' / 'dataset').num_episodes == 1


@pytest.mark.parametrize(
    'words',
    [
        ('--fps', '0'),
        ('--fps', '-5'),
        ('--jobs', '0'),
        ('--max-age', 'nan'),
        ('--max-skew', '-1'),
        ('--size', '640'),
        ('--gop', '0'),
        ('--codec', 'vp9'),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    tmp_path: Path, recording: Recording, words: tuple[str, str]
) -> None:
    recording(tmp_path / 'a', seconds=0.05)
    assert run(tmp_path / 'a', '--out', tmp_path / 'out', *words) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a']


def test_the_size_and_the_codec_are_options(tmp_path: Path, recording: Recording) -> None:
    recording(tmp_path / 'a', seconds=0.4)
    words = ('--codec', 'libsvtav1', '--crf', '30', '--size', '320x240', '--cameras', 'wrist')
    assert run(tmp_path / 'a', '--out', tmp_path / 'out', *words) == 0
    data = opened(tmp_path / 'out')
    assert data.meta.camera_keys == ['observation.images.wrist']
    assert data[3]['observation.images.wrist'].shape == (3, 240, 320)
    info = data.meta.features['observation.images.wrist']['info']
    assert (info['video.codec'], info['video.g'], info['video.crf']) == ('av1', 2, 30)
    assert run(tmp_path / 'a', '--out', tmp_path / 'no', '--preset', 'fastest') == 1
    assert run(tmp_path / 'a', '--out', tmp_path / 'no', '--cameras', 'left') == 1
    assert not (tmp_path / 'no').exists()


def test_a_second_conversion_to_the_same_place_is_refused(
    tmp_path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / 'a', seconds=0.4)
    held = Draft(tmp_path / 'out')
    assert run(tmp_path / 'a', '--out', tmp_path / 'out') == 1
    assert 'by another process' in capsys.readouterr().err
    held.close()
