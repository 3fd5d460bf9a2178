import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from lerobot.common.train_utils import should_save_checkpoint

from so101_node.error import UserError
from so101_training.training import disk


@given(done=some.integers(0, 60), more=some.integers(1, 60), every=some.integers(1, 30))
def test_the_saves_are_those_that_lerobot_does(done: int, more: int, every: int) -> None:
    steps = done + more
    expected = sum(should_save_checkpoint(s, every, steps) for s in range(done + 1, steps + 1))
    assert disk.saves(done, steps, every) == expected


def test_a_learning_parameter_counts_three_times() -> None:
    beside = disk.checkpoint_size([])
    assert disk.checkpoint_size([(1000, 4, True), (10, 2, False)]) == beside + 12000 + 20


def test_no_room_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=3.5e9))
    disk.check(tmp_path / 'not' / 'there', 3, 1.1e9)
    with pytest.raises(UserError, match=r'4 checkpoints of 1.1 GB need 4.4 GB, 3.5 GB are free'):
        disk.check(tmp_path / 'not' / 'there', 4, 1.1e9)
