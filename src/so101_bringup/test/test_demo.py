"""The demo's figure of success: of a policy that was trained a share is expected, with doubt."""

from dataclasses import replace

import pytest

from so101_bringup import demo
from so101_bringup.figures import Figure, failed, mark
from so101_episodes.episode import Episode


def success_rate(outcomes: str, trained: bool) -> Figure:
    """Return it, of rollouts that ended in success (s), failure (f) or unlabelled (u)."""
    named = {'s': 'success', 'f': 'failure', 'u': 'unlabelled'}
    episodes = [
        replace(Episode.begun(1, 'rollout', 'task', '', ''), outcome=named[letter])
        for letter in outcomes
    ]
    health = {'policy/inference': {'trained': str(trained)}}
    found = demo.summarise({'num_rollouts': len(episodes)}, health, episodes, [], 1.0)
    (figure,) = (one for one in found if one.name == 'success_rate')
    return figure


def test_four_of_five_are_enough() -> None:
    figure = success_rate('sfsss', trained=True)
    assert (figure.value, mark(figure)) == (0.8, 'ok')
    # Wilson's interval of 4 of 5, as tables give it.
    assert figure.interval == pytest.approx((0.376, 0.964), abs=0.001)
    assert figure.to_json()['interval'] == list(figure.interval or ())


def test_what_a_good_policy_may_have_by_chance_is_no_failure() -> None:
    assert mark(success_rate('sffss', trained=True)) == 'ok'
    figure = success_rate('fffss', trained=True)
    assert (figure.value, mark(figure)) == (0.4, 'FAILED')
    assert failed([figure])


def test_nothing_is_expected_of_random_weights() -> None:
    figure = success_rate('ff', trained=False)
    assert (figure.value, figure.target, mark(figure)) == (0.0, '', '')


def test_without_an_outcome_it_was_not_measured() -> None:
    figure = success_rate('uu', trained=True)
    assert (figure.value, figure.interval, mark(figure)) == (None, None, '')
