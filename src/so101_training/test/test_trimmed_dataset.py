"""The data set that --fix writes: all but the episodes left out, whole or not at all."""

import json
import shutil
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from so101_node.error import UserError
from so101_training.checks import survey, trimmed_dataset
from so101_training.checks.dataset import Dataset
from so101_training.checks.trimmed_dataset import copied, left_out, trim
from so101_training.checks.verdict import GOOD, judged
from so101_training.conversion.video import Codec
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import TASK, scene

SIZE = (64, 96)
GONE = {0, 3}
KEPT = [1, 2, 4, 5]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('whole') / 'dataset'
    random = np.random.default_rng(6)
    scenes = [scene(random, SIZE, Plan.drawn(random).but(speed=3.0)) for _ in range(6)]
    scenes[3].task = 'Another task'
    scenes[4].task = 'A third task'
    scenes[4].outcome, scenes[4].reason = 'failure', 'dropped'
    write_dataset(folder, scenes, SIZE, per_file=3, preset='ultrafast')
    manifest = pa.table(
        {
            'episode_index': [0, 4, 5], 'frame_index': [3, 4, 5], 'stream': ['wrist'] * 3,
            'kind': ['late', 'late', 'dropped'], 'stamp_ns': [1, 2, 3],
            'age_ms': [40.0, 41.0, 42.0], 'reason': ['', 'a', 'b'],
        }
    )  # fmt: skip
    pq.write_table(manifest, folder / 'meta/manifest.parquet')
    known = {'outcome': 'success', 'task': 'a task'}
    converted = [{'source': f'take_{n}', 'recording': f'key_{n}', **known} for n in range(6)]
    codec = asdict(Codec())
    settings = {'fps': 30, 'cameras': ['wrist', 'overhead'], 'max_age': 0.2, 'max_skew': 0.05}
    said = {'settings': {**settings, 'codec': codec}, 'episodes': converted, 'left_out': []}
    (folder / 'meta/conversion.json').write_text(json.dumps(said))
    return folder


@pytest.fixture(scope='module')
def trimmed(dataset: Path) -> Path:
    out = dataset.parent / 'trimmed'
    trim(Dataset(dataset), out, GONE)
    return out


def opened(folder: Path) -> LeRobotDataset:
    return LeRobotDataset('local/dataset', root=folder, video_backend='pyav')


def test_lerobot_reads_the_same_frames(dataset: Path, trimmed: Path) -> None:
    before, after = opened(dataset), opened(trimmed)
    assert after.meta.total_episodes == len(KEPT)
    assert len(after) == sum(before.meta.episodes[old]['length'] for old in KEPT)
    for new, old in enumerate(KEPT):
        there, here = before.meta.episodes[old], after.meta.episodes[new]
        assert here['length'] == there['length']
        for k in (0, 1, 2, here['length'] // 2, here['length'] - 2, here['length'] - 1):
            one = before[there['dataset_from_index'] + k]
            other = after[here['dataset_from_index'] + k]
            assert one['task'] == other['task']
            assert other['episode_index'] == new
            assert other['index'] == here['dataset_from_index'] + k
            for name in ('observation.state', 'action', 'timestamp', 'frame_index'):
                assert torch.equal(one[name], other[name])
            for camera in ('wrist', 'overhead'):
                name = f'observation.images.{camera}'
                assert torch.equal(one[name], other[name]), (old, k, camera)


def test_statistics_are_those_of_what_is_left(dataset: Path, trimmed: Path) -> None:
    found = json.loads((trimmed / 'meta/stats.json').read_text())
    whole = opened(trimmed)
    states = np.array([row['observation.state'] for row in whole.hf_dataset])
    stats = found['observation.state']
    assert stats['mean'] == pytest.approx(states.mean(axis=0), rel=1e-5)
    assert stats['std'] == pytest.approx(states.std(axis=0), rel=1e-5)
    assert stats['max'] == pytest.approx(states.max(axis=0))
    assert found['index']['max'] == [len(states) - 1]
    assert found['episode_index']['max'] == [len(KEPT) - 1]
    assert np.shape(found['observation.images.wrist']['mean']) == (3, 1, 1)
    before = json.loads((dataset / 'meta/stats.json').read_text())
    assert found['observation.images.wrist'] != before['observation.images.wrist']


def test_labels_tasks_and_manifest_are_kept_and_renumbered(trimmed: Path) -> None:
    rows = pq.read_table(trimmed / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    assert [row['source'] for row in rows] == [f'take_{old}' for old in KEPT]
    assert [row['reason'] for row in rows] == ['', '', 'dropped', '']
    tasks = pq.read_table(trimmed / 'meta/tasks.parquet').to_pydict()
    assert tasks == {'task_index': [0, 1], 'task': [TASK, 'A third task']}
    manifest = pq.read_table(trimmed / 'meta/manifest.parquet').to_pydict()
    assert manifest['episode_index'] == [2, 3]
    assert manifest['age_ms'] == [41.0, 42.0]
    said = json.loads((trimmed / 'meta/conversion.json').read_text())
    assert [entry['recording'] for entry in said['episodes']] == [f'key_{old}' for old in KEPT]
    assert [entry['source'] for entry in said['left_out']] == ['take_0', 'take_3']
    info = json.loads((trimmed / 'meta/info.json').read_text())
    assert (info['total_tasks'], info['splits']) == (2, {'train': '0:4'})


def test_it_passes_the_checks_itself(trimmed: Path) -> None:
    judgement = judged(survey.surveyed(survey.opened([trimmed]), '', lambda done, of: None, 1))
    assert not judgement.whole
    of_failure = [each.number for each in judgement.verdicts if each.verdict != GOOD]
    assert of_failure == [2]


def test_a_file_of_which_nothing_is_gone_is_copied_as_it_is(dataset: Path, tmp_path: Path) -> None:
    trim(Dataset(dataset), tmp_path / 'out', {0})
    for file, same in ((0, False), (1, True)):
        name = f'videos/observation.images.wrist/chunk-000/file-{file:03d}.mp4'
        assert ((tmp_path / 'out' / name).read_bytes() == (dataset / name).read_bytes()) is same


def test_nothing_is_left_of_what_could_not_be_written(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Path(shutil.copytree(dataset, tmp_path / 'broken'))
    video = next(broken.glob('videos/*overhead/*/file-001.mp4'))
    video.write_bytes(b'nothing')
    with pytest.raises(UserError, match='was not written'):
        trim(Dataset(broken), tmp_path / 'out', GONE)

    def full(path: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(trimmed_dataset, 'sync_all', full)
    with pytest.raises(UserError, match='No space left'):
        trim(Dataset(dataset), tmp_path / 'out', GONE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['broken']
    (tmp_path / 'out').mkdir()
    with pytest.raises(UserError, match='is there already'):
        trim(Dataset(dataset), tmp_path / 'out', GONE)


def test_which_are_left_out(dataset: Path) -> None:
    source = Dataset(dataset)
    assert left_out(source, [1, 2], [4], [2]) == {1, 4}
    with pytest.raises(UserError, match='has no episode 9; it has 0 to 5'):
        left_out(source, [], [9], [])
    with pytest.raises(UserError, match='both name 3'):
        left_out(source, [], [3], [3])
    with pytest.raises(UserError, match='every episode'):
        left_out(source, range(6), [], [])


@pytest.mark.parametrize('options', [{'g': '12', 'bf': '2'}, {'g': '250', 'bf': '0'}])
def test_parts_need_not_begin_at_a_keyframe(tmp_path: Path, options: dict[str, str]) -> None:
    """Frames are told apart by their brightness: frame i of all is 2 i + 40."""
    source, target = tmp_path / 'source.mp4', tmp_path / 'target.mp4'
    with av.open(str(source), 'w') as container:
        stream = container.add_stream('libx264', rate=30, options={**options, 'crf': '5'})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for i in range(90):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 2 * i + 40, np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    spans = {0: (5 / 30, 20 / 30), 1: (20 / 30, 31 / 30), 2: (70 / 30, 90 / 30)}
    places = copied(source, target, spans, 30.0)
    with av.open(str(target)) as container:
        shown = {round(f.time * 30): int(f.to_ndarray().mean()) for f in container.decode(video=0)}
    with av.open(str(source)) as container:
        known = {round(f.time * 30): int(f.to_ndarray().mean()) for f in container.decode(video=0)}
    for number, (start, end) in spans.items():
        first, behind = round(places[number][0] * 30), round(places[number][1] * 30)
        assert behind - first == round((end - start) * 30)
        for k in range(behind - first):
            assert shown[first + k] == known[round(start * 30) + k]
