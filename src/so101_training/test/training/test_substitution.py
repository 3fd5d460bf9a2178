from types import ModuleType

import lerobot
import pytest

from so101_node.error import UserError
from so101_training.training.substitution import substituted


def test_attributes_are_replaced_and_given_back() -> None:
    module = ModuleType('lerobot.some')
    module.one = 1  # type: ignore[attr-defined]
    with substituted(module, {'one': 2}) as originals:
        assert module.one == 2
        assert originals == {'one': 1}
    assert module.one == 1


def test_they_are_given_back_after_an_error() -> None:
    module = ModuleType('lerobot.some')
    module.one = 1  # type: ignore[attr-defined]
    with pytest.raises(KeyError), substituted(module, {'one': 2}):
        raise KeyError
    assert module.one == 1


def test_another_version_that_lacks_one_is_refused() -> None:
    module = ModuleType('lerobot.some')
    said = rf'lerobot\.some has no cycle: lerobot {lerobot.__version__} is another version'
    with pytest.raises(UserError, match=said), substituted(module, {'cycle': None}):
        raise AssertionError('it was entered')
