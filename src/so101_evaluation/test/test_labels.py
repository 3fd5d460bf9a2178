"""Checkpoints have short names that tell them apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_evaluation.labels import labels, natural

CALMLY = settings(deadline=None, max_examples=50)  # on a busy machine, too


@pytest.mark.parametrize(
    ('checkpoints', 'names'),
    [
        (['/a/one'], ['one']),
        (['/a/one', '/b/one'], ['a/one', 'b/one']),
        (['/run/9/pretrained_model', '/run/10/pretrained_model'], ['9', '10']),
        (['', 'a'], ['a', 'not said']),
        (['a', 'a'], ['a']),
        ([], []),
    ],
)
def test_a_name_is_as_long_as_it_takes(checkpoints: list[str], names: list[str]) -> None:
    assert list(labels(checkpoints).values()) == names


@CALMLY
@given(st.lists(st.text('ab/.1 ', max_size=8)))
def test_no_two_have_the_same_name(checkpoints: list[str]) -> None:
    names = labels(checkpoints)
    assert set(names) == set(checkpoints)
    assert len(set(names.values())) == len(names)


@CALMLY
@given(st.lists(st.text()))
def test_any_texts_can_be_sorted(texts: list[str]) -> None:
    assert sorted(sorted(texts, key=natural)) == sorted(texts)
