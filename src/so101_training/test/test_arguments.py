"""What is typed as numbers."""

import argparse

import pytest

from so101_node.error import UserError
from so101_training.arguments import natural, numbers


def test_numbers_are_lists_and_ranges() -> None:
    assert numbers('3, 17,20-22', '--exclude') == {3, 17, 20, 21, 22}
    assert numbers('', '--exclude') == set()
    for wrong in ('x', '3-', '-3', '1.5'):
        with pytest.raises(UserError, match='3,17,20-25'):
            numbers(wrong, '--exclude')


def test_a_natural_number_is_above_nought() -> None:
    assert natural('12') == 12
    for wrong in ('0', '-1', '1.5', 'x', ''):
        with pytest.raises(argparse.ArgumentTypeError, match='above 0'):
            natural(wrong)
