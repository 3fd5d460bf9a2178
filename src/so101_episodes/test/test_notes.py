"""Notes hold what is known, and nothing else is taken for them."""

import pytest

from so101_episodes.notes import Notes
from so101_node.error import UserError


def test_any_of_the_notes_may_be_given() -> None:
    assert Notes.parse('{}') == Notes()
    assert Notes.parse('{"kind": "demonstration", "place": "3"}') == Notes(
        'demonstration', '', '3'
    )


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('kind: rollout', 'not JSON'),
        ('[' * 100_000, 'not JSON'),
        ('["rollout"]', 'expected an object of checkpoint, kind, place'),
        ('{"mood": "fine"}', 'expected an object of checkpoint, kind, place'),
        ('{"place": 3}', 'expected texts'),
        ('{"kind": "dance"}', "kind is 'dance'"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        Notes.parse(text)
