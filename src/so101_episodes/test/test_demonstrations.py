"""Demonstrations that were finished count; nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest

from so101_episodes.demonstrations import count
from so101_episodes.episode import FILE, PARTIAL, Episode

DEMONSTRATION = replace(Episode.begun(1, 'demonstration', 'Fold', '', ''), complete=True)


def save(folder: Path, episode: Episode) -> None:
    folder.mkdir(parents=True)
    episode.save(folder)


@pytest.mark.parametrize(
    ('episode', 'counted'),
    [
        (DEMONSTRATION, 1),
        (replace(DEMONSTRATION, outcome='failure'), 1),
        (replace(DEMONSTRATION, kind='rollout'), 0),
        (replace(DEMONSTRATION, kind=''), 0),
        (replace(DEMONSTRATION, salvaged=True), 0),
    ],
)
def test_a_finished_demonstration_counts(tmp_path: Path, episode: Episode, counted: int) -> None:
    save(tmp_path / '20250101_120000_0', episode)
    lines: list[str] = []
    assert count(tmp_path, lines.append) == counted
    assert lines == []


def test_what_is_being_recorded_does_not_count(tmp_path: Path) -> None:
    save(tmp_path / PARTIAL / '20250101_120000_0', replace(DEMONSTRATION, complete=False))
    (tmp_path / 'videos').mkdir()
    assert count(tmp_path, pytest.fail) == 0


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    save(tmp_path / 'a', DEMONSTRATION)
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / FILE).write_text('{')
    lines: list[str] = []
    assert count(tmp_path, lines.append) == 1
    assert len(lines) == 1
    assert lines[0].startswith('not counted: ')
    assert str(tmp_path / 'b') in lines[0]


def test_a_folder_that_is_not_there_yet_has_none(tmp_path: Path) -> None:
    assert count(tmp_path / 'recordings', pytest.fail) == 0
