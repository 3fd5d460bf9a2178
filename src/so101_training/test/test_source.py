"""Which recordings there are, and which are wanted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from so101_node.error import UserError
from so101_training.conversion import source


def test_recordings_are_found_once_and_in_order(
    tmp_path: Path, recording: Callable[..., Path]
) -> None:
    for name in 'cab':
        recording(tmp_path / name, seconds=0.05)
    recording(tmp_path / '.partial' / 'being_recorded', seconds=0.05)
    found = source.find([tmp_path / 'c', tmp_path])
    assert [folder.name for folder in found] == ['c', 'a', 'b']
    with pytest.raises(UserError, match='no such folder'):
        source.find([tmp_path / 'nowhere'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no episode'):
        source.find([tmp_path / 'empty'])


def test_a_recording_that_changes_has_another_key(
    tmp_path: Path, recording: Callable[..., Path]
) -> None:
    folder = recording(tmp_path / 'a', seconds=0.05)
    before = source.look(0, folder)
    assert (before.outcome, before.kind, before.broken) == ('success', 'demonstration', '')
    text = (folder / 'episode.json').read_text()
    (folder / 'episode.json').write_text(text.replace('"success"', '"failure"'))
    after = source.look(0, folder)
    assert (after.outcome, after.key != before.key) == ('failure', True)
    (folder / 'episode.json').write_text('{}')
    assert 'cannot read' in source.look(0, folder).broken


def test_a_clock_that_jumped_is_found(tmp_path: Path, recording: Callable[..., Path]) -> None:
    from so101_episodes.episode import Episode, Mark

    folder = recording(tmp_path / 'a', seconds=0.05)
    mark = Mark('clock', 'clock', 1, 2, 'system time jumped by 3 s')
    replace(Episode.load(folder), marks=(mark,)).save(folder)
    assert 'jumped by 3 s' in source.look(0, folder).broken
