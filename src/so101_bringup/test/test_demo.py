"""What the demo runs by itself, and when its rate of success is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from so101_bringup import demo
from so101_bringup.figures import Figure, failed, mark
from so101_episodes.episode import Episode

OUTCOMES = {'s': 'success', 'f': 'failure', 'u': 'unlabelled'}


def success_rate(letters: str, trained: str = 'True', episode_time: float = 15.0) -> Figure:
    """Return it, of rollouts that ended in success (s), failure (f) or unlabelled (u)."""
    begun = Episode.begun(1, 'rollout', 'task', '', '')
    episodes = [replace(begun, outcome=OUTCOMES[letter]) for letter in letters]
    values = {'num_rollouts': len(episodes), 'episode_time': episode_time}
    health = {'policy/inference': {'trained': trained}} if trained else {}
    found = demo.summarise(values, health, episodes, [], 1.0)
    (figure,) = (one for one in found if one.name == 'success_rate')
    return figure


def test_four_of_five_are_enough() -> None:
    figure = success_rate('sfsss')
    assert (figure.value, mark(figure)) == (0.8, 'ok')
    # Wilson's interval of 4 of 5, as tables give it.
    assert figure.interval == pytest.approx((0.376, 0.964), abs=0.001)
    assert figure.to_json()['interval'] == list(figure.interval or ())


def test_what_a_good_policy_may_have_by_chance_is_no_failure() -> None:
    assert mark(success_rate('sffss')) == 'ok'
    figure = success_rate('fffss')
    assert (figure.value, mark(figure)) == (0.4, 'FAILED')
    assert failed([figure])


@pytest.mark.parametrize(
    'figure',
    [
        success_rate('fffff', trained='False'),
        success_rate('ffff'),
        success_rate('fffff', episode_time=4.0),
    ],
)
def test_nothing_is_expected_of_random_weights_or_too_little(figure: Figure) -> None:
    assert (figure.value, figure.target, mark(figure)) == (0.0, '', '')
    assert figure.interval is not None


def test_a_rate_that_was_not_measured_is_wrong() -> None:
    figure = success_rate('uuuuu')
    assert (figure.value, figure.interval, mark(figure)) == (None, None, 'FAILED')
    # Nothing is known of a policy that is not heard: it may be trained.
    assert mark(success_rate('fffff', trained='')) == 'FAILED'


def test_it_runs_what_is_shipped_whatever_robot_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'robot.yaml').write_text('checkpoint: outputs/mine\nrecordings: mine\n')
    monkeypatch.chdir(tmp_path)
    values = demo.WIRING.values({})
    assert values['recordings'] == 'build/demo/recordings'
    (policy,) = (node for node in demo.WIRING.nodes(values) if node.name == 'policy')
    assert Path(str(policy.parameters['checkpoint'])).name == demo.SHIPPED.name
