"""episode.json holds an episode, and nothing else is taken for one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from so101_episodes.episode import FILE, PARTIAL, Episode, Mark, TopicCount, new_name, software
from so101_node.error import UserError

EPISODE = Episode(
    complete=True,
    kind='rollout',
    place='2',
    salvaged=False,
    marks=(Mark('wrist', 'frozen', 1_700_000_001, 1_700_000_002, 'the wrist image stood still'),),
    figures={'tracking_rms_degrees': 0.5, 'starved_s': None},
    arm={'calibration': 'my_arm.json'},
    cameras={'wrist': {'width': 640, 'height': 480, 'format': 'jpeg'}},
    task='Pick up the cube',
    outcome='success',
    reason='',
    checkpoint='checkpoints/last',
    started=1_700_000_000_000_000_001,
    ended=1_700_000_002_500_000_001,
    duration_s=2.5,
    topics={
        '/joint_states': TopicCount('sensor_msgs/msg/JointState', 499, 500, 1, 199.6),
        '/diagnostics': TopicCount('diagnostic_msgs/msg/DiagnosticArray', 9, None, None, 3.6),
    },
    software=software(),
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    EPISODE.save(tmp_path)
    assert Episode.load(tmp_path) == EPISODE
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_folder_without_the_file_is_no_finished_episode(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='not a finished episode'):
        Episode.load(tmp_path)


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'outcome': 'good'}, 'outcome'),
        ({'started': 'noon'}, 'started'),
        ({'task': None}, 'task'),
        ({'topics': {'/a': {'messages': 3}}}, 'published'),
        ({'topics': []}, 'topics'),
        ({'software': {'rosbags': 11}}, 'software'),
        ({'mood': 'fine'}, 'mood'),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict, complaint: str) -> None:
    EPISODE.save(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=f'{FILE}.*{complaint}'):
        Episode.load(tmp_path)


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"task": ')
    with pytest.raises(UserError, match=FILE):
        Episode.load(tmp_path)


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    EPISODE.save(tmp_path)
    failed = replace(EPISODE, outcome='failure', reason='dropped')
    failed.save(tmp_path)
    assert Episode.load(tmp_path) == failed


def test_names_are_unique_among_finished_and_unfinished_episodes(tmp_path: Path) -> None:
    assert new_name(tmp_path, '20260101_120000') == '20260101_120000_0'
    (tmp_path / '20260101_120000_0').mkdir()
    (tmp_path / PARTIAL / '20260101_120000_1').mkdir(parents=True)
    assert new_name(tmp_path, '20260101_120000') == '20260101_120000_2'
