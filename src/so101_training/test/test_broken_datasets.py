"""Datasets that are broken in every way are told so, and never end the check."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from so101_node.error import UserError
from so101_training.checks import survey
from so101_training.checks.dataset import Dataset
from so101_training.checks.finding import BAD
from so101_training.checks.verdict import GOOD, Judgement, judged
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import scene

SIZE = (64, 96)
DATA = 'data/chunk-000/file-000.parquet'
EPISODES = 'meta/episodes/chunk-000/file-000.parquet'
WRIST = 'videos/observation.images.wrist/chunk-000/file-000.mp4'


@pytest.fixture(scope='module')
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('sound') / 'dataset'
    random = np.random.default_rng(3)
    made = (scene(random, SIZE, Plan.drawn(random).but(speed=3.0)) for _ in range(4))
    write_dataset(folder, made, SIZE, per_file=2, preset='ultrafast')
    return folder


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / 'dataset'))


def look(folder: Path) -> Judgement:
    return judged(survey.surveyed(survey.opened([folder]), 'it', lambda done, of: None, 1))


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the rows of a table, column -> list."""
    table = pq.read_table(folder / name, partitioning=None)
    columns = table.to_pydict()
    change(columns)
    pq.write_table(pa.table(columns), folder / name)


def rows_of(columns: dict[str, Any], number: int) -> list[int]:
    return [i for i, n in enumerate(columns['episode_index']) if n == number]


def said(judgement: Judgement, number: int) -> str:
    return ' '.join(each.text for each in judgement.verdicts[number].findings)


def test_a_sound_one_is_good(dataset: Path) -> None:
    assert [each.verdict for each in look(dataset).verdicts] == [GOOD] * 4


def not_finite(columns: dict[str, Any]) -> None:
    for i in rows_of(columns, 1)[5:8]:
        columns['action'][i][2] = float('nan')


def five_joints(columns: dict[str, Any]) -> None:
    for name in ('observation.state', 'action'):
        columns[name] = [values[:5] for values in columns[name]]


def ragged(columns: dict[str, Any]) -> None:
    columns['action'][rows_of(columns, 1)[3]] = [1.0]


def backwards(columns: dict[str, Any]) -> None:
    rows = rows_of(columns, 1)
    columns['timestamp'][rows[9]] = columns['timestamp'][rows[4]]


def off_the_grid(columns: dict[str, Any]) -> None:
    for i in rows_of(columns, 1)[20:]:
        columns['timestamp'][i] += 0.004


def short(columns: dict[str, Any]) -> None:
    gone = set(rows_of(columns, 1)[-7:])
    for name in columns:
        columns[name] = [v for i, v in enumerate(columns[name]) if i not in gone]


def no_rows(columns: dict[str, Any]) -> None:
    gone = set(rows_of(columns, 1))
    for name in columns:
        columns[name] = [v for i, v in enumerate(columns[name]) if i not in gone]


def no_action(columns: dict[str, Any]) -> None:
    del columns['action']


def counts_twice(columns: dict[str, Any]) -> None:
    columns['frame_index'][rows_of(columns, 1)[3]] = 2


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (not_finite, '3 of'),
        (five_joints, 'has 5 joints'),
        (ragged, 'different lengths'),
        (backwards, 'backwards'),
        (off_the_grid, 'by 4.0 ms'),
        (short, 'rows, meta/episodes says'),
        (no_rows, 'no rows'),
        (no_action, 'action is missing'),
        (counts_twice, 'frame_index'),
    ],
)
def test_rows_that_cannot_be(
    dataset: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    rewrite(dataset, DATA, change)
    judgement = look(dataset)
    assert judgement.verdicts[1].verdict == BAD
    assert words in said(judgement, 1)


def test_a_data_file_that_is_cut(dataset: Path) -> None:
    (dataset / DATA).write_bytes((dataset / DATA).read_bytes()[:500])
    judgement = look(dataset)
    assert all(each.verdict == BAD for each in judgement.verdicts)
    assert 'cannot be read' in said(judgement, 0)


def test_a_video_that_is_missing(dataset: Path) -> None:
    (dataset / WRIST).unlink()
    judgement = look(dataset)
    assert [each.verdict for each in judgement.verdicts] == [BAD, BAD, GOOD, GOOD]
    assert 'pictures of the wrist camera are not there' in said(judgement, 0)


def test_a_video_that_is_none(dataset: Path) -> None:
    (dataset / WRIST).write_bytes(b'no video at all' * 50)
    assert [each.verdict for each in look(dataset).verdicts] == [BAD, BAD, GOOD, GOOD]


def test_a_video_with_a_hole_in_it(dataset: Path) -> None:
    content = bytearray((dataset / WRIST).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    (dataset / WRIST).write_bytes(content)
    judgement = look(dataset)
    assert BAD in {each.verdict for each in judgement.verdicts[:2]}
    assert [each.verdict for each in judgement.verdicts[2:]] == [GOOD, GOOD]


def test_a_video_that_is_too_short(dataset: Path) -> None:
    def longer(columns: dict[str, Any]) -> None:
        columns['length'][1] += 15

    rewrite(dataset, EPISODES, longer)
    judgement = look(dataset)
    assert '15 of' in said(judgement, 1) and 'missing from the video' in said(judgement, 1)


def test_what_the_manifest_says_counts(dataset: Path) -> None:
    frames = list(range(10, 40))
    table = {
        'episode_index': [2] * 30, 'frame_index': frames, 'stream': ['wrist'] * 30,
        'kind': ['repeated'] * 30, 'stamp_ns': [0] * 30, 'age_ms': [1.0] * 30,
        'reason': [''] * 30,
    }  # fmt: skip
    pq.write_table(pa.table(table), dataset / 'meta/manifest.parquet')
    judgement = look(dataset)
    assert judgement.verdicts[2].verdict == BAD
    assert '30 samples of wrist' in said(judgement, 2) and '1.00 s in one go' in said(judgement, 2)
    pq.write_table(pa.table({'anything': [1]}), dataset / 'meta/manifest.parquet')
    assert any('manifest.parquet cannot be read' in each.text for each in look(dataset).whole)


def test_counts_that_are_wrong_and_statistics_that_are_gone(dataset: Path) -> None:
    info = json.loads((dataset / 'meta/info.json').read_text())
    (dataset / 'meta/info.json').write_text(json.dumps(info | {'total_episodes': 9}))
    (dataset / 'meta/stats.json').write_text('{')
    texts = ' '.join(each.text for each in look(dataset).whole)
    assert 'total_episodes 9, there are 4' in texts
    assert 'meta/stats.json is missing' in texts


def test_a_dataset_from_elsewhere_has_no_labels(dataset: Path) -> None:
    def plain(columns: dict[str, Any]) -> None:
        for name in ('outcome', 'reason', 'source'):
            del columns[name]

    rewrite(dataset, EPISODES, plain)
    judgement = look(dataset)
    assert [each.verdict for each in judgement.verdicts] == [GOOD] * 4
    assert judgement.verdicts[3].name == 'episode 3'


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'codebase_version': 'v2.1'}, 'v3.0'),
        ({'fps': 0}, 'fps or features'),
        ({'fps': 'fast'}, 'fps'),
        ({'features': []}, 'features'),
        ({'video_path': None}, 'video_path'),
    ],
)
def test_what_is_no_dataset_is_refused(dataset: Path, values: dict[str, Any], words: str) -> None:
    info = json.loads((dataset / 'meta/info.json').read_text())
    (dataset / 'meta/info.json').write_text(json.dumps(info | values))
    with pytest.raises(UserError, match=words):
        Dataset(dataset)


def test_cameras_and_folders_that_are_not_there(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='has no camera side; it has wrist, overhead'):
        Dataset(dataset, ['side'])
    shutil.rmtree(dataset / 'meta/episodes')
    with pytest.raises(UserError, match='no episode in meta/episodes'):
        Dataset(dataset)
    with pytest.raises(UserError, match='no such folder'):
        survey.opened([tmp_path / 'nowhere'])
    with pytest.raises(UserError, match='no episode in it'):
        survey.opened([tmp_path])
    with pytest.raises(UserError, match='check it by itself'):
        survey.opened([dataset, tmp_path])


def test_a_camera_that_is_not_looked_at_is_not_decoded(dataset: Path) -> None:
    (dataset / WRIST).unlink()
    source = survey.opened([dataset], ['wrist'])
    judgement = judged(survey.surveyed(source, 'it', lambda done, of: None, 1))
    assert [each.verdict for each in judgement.verdicts] == [GOOD] * 4
    assert judgement.cameras == ('overhead',)
