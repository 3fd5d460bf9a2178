"""The policies that a pipeline starts from."""

from pathlib import Path

import pytest

from so101_bringup.pipeline import policy_size
from so101_node.error import UserError
from so101_policy import untrained_smolvla


def test_the_sizes_are_those_that_can_be_made() -> None:
    assert tuple(untrained_smolvla.SIZES) == policy_size.SIZES


def test_what_no_training_can_start_from_is_refused_at_once(tmp_path: Path) -> None:
    policy_size.check(str(tmp_path))
    policy_size.check('small')
    policy_size.check('act')
    for unknown in ('smal', str(tmp_path / 'nothing')):
        with pytest.raises(UserError, match=r'nor a policy type; .*sizes .*: tiny, small$'):
            policy_size.check(unknown)
