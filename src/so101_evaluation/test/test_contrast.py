"""What is said of a difference is what its interval allows."""

from collections.abc import Callable

import pytest

from so101_episodes.episode import Episode
from so101_evaluation.contrast import Contrast, contrasts
from so101_evaluation.entry import Entry
from so101_evaluation.group import Group

Make = Callable[..., Episode]


def group(make: Make, successes: int, failures: int, place: str = '') -> Group:
    outcomes = ['success'] * successes + ['failure'] * failures
    entries = [Entry.of(make(outcome=outcome, place=place), '', '') for outcome in outcomes]
    return Group('', tuple(entries))


@pytest.mark.parametrize(
    ('first', 'second', 'said'),
    [
        ((48, 32), (56, 14), 'B succeeds more often than A: +20 points (95 %: +5 to +33)'),
        ((56, 14), (48, 32), 'B succeeds less often than A: -20 points (95 %: -33 to -5)'),
        (
            (3, 2),
            (4, 1),
            'no difference shown: -31 to +60 points; about 82 rollouts of each would show 20 '
            'points',
        ),
        ((0, 0), (4, 1), 'nothing to compare: no episode of A is labelled'),
    ],
)
def test_the_verdict(
    episode_of: Make, first: tuple[int, int], second: tuple[int, int], said: str
) -> None:
    contrast = Contrast('A', 'B', group(episode_of, *first), group(episode_of, *second))
    assert contrast.verdict == said


def test_a_difference_that_only_the_interval_shows_is_too_close_to_tell(episode_of: Make) -> None:
    here = [group(episode_of, successes, 40 - successes, 'here') for successes in (26, 34)]
    contrast = Contrast('A', 'B', *here)
    assert contrast.difference is not None
    assert contrast.difference.shown
    assert not contrast.shown
    assert contrast.verdict == (
        'too close to tell: +20 points (95 %: +1 to +37; within places p = 0.069); '
        'about 73 rollouts of each would show 20 points'
    )


def test_enough_rollouts_for_20_points_are_told_what_10_need(episode_of: Make) -> None:
    many = group(episode_of, 70, 30)
    assert Contrast('A', 'B', many, many).needed == (0.1, 329)


def test_places_are_compared_only_where_both_were(episode_of: Make) -> None:
    here, there = group(episode_of, 1, 9, 'here'), group(episode_of, 9, 1, 'there')
    nowhere = group(episode_of, 5, 5)
    assert Contrast('A', 'B', here, there).same_places_p is None
    assert Contrast('A', 'B', nowhere, nowhere).same_places_p is None
    found = Contrast('A', 'B', here, group(episode_of, 9, 1, 'here')).same_places_p
    assert found == pytest.approx(0.00109, abs=1e-5)  # Fisher's test


def test_every_two_are_held_against_each_other() -> None:
    groups = [Group(name, ()) for name in 'abc']
    assert [(c.first_name, c.second_name) for c in contrasts(groups)] == [
        ('a', 'b'),
        ('a', 'c'),
        ('b', 'c'),
    ]
