"""Arguments are said once, checked once, and lead to the nodes of the graph."""

from pathlib import Path

import pytest

from so101_bringup.wiring import INFER, Argument
from so101_node.error import UserError


def test_an_unknown_argument_names_the_known_ones() -> None:
    with pytest.raises(UserError, match='unknown argument chekpoint; known: checkpoint, task'):
        INFER.values({'chekpoint': 'x'})


@pytest.mark.parametrize(
    ('argument', 'text', 'message'),
    [
        (Argument('n', 1, ''), 'x', 'n:=x: expected a whole number'),
        (Argument('t', 1.0, ''), 'x', 't:=x: expected a number'),
        (Argument('t', 1.0, ''), 'inf', 't:=inf: expected a number'),
        (Argument('n', 1, '', low=1), '0', 'n:=0: expected at least 1'),
        (Argument('b', True, ''), 'yes', 'b:=yes: expected true or false'),
    ],
)
def test_a_wrong_value_is_refused(argument: Argument, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        argument.value(text)


def test_values_have_the_type_of_their_default() -> None:
    values = INFER.values({'num_rollouts': '3', 'sim': 'True', 'episode_time': '2'})
    assert (values['num_rollouts'], values['sim'], values['episode_time']) == (3, True, 2.0)
    assert values['record'] is True


def test_a_missing_checkpoint_is_found_before_any_node_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nowhere'):
        INFER.nodes(INFER.values({'checkpoint': str(tmp_path / 'nowhere')}))
