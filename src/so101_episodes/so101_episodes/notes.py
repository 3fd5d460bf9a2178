"""What the recorder is told of an episode, as JSON: who moves the arm, with which checkpoint."""

import json
from dataclasses import dataclass, fields

from so101_episodes.episode import KINDS
from so101_node.error import UserError


@dataclass(frozen=True)
class Notes:
    """As in Episode; an empty text is what nobody said."""

    kind: str = ''
    checkpoint: str = ''
    place: str = ''

    @classmethod
    def parse(cls, text: str) -> 'Notes':
        """Read a JSON object of any of these; raises UserError for anything else."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f'notes are not JSON: {error}') from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) - known:
            raise UserError(f'notes are {text}, expected an object of {", ".join(sorted(known))}')
        if not all(isinstance(value, str) for value in values.values()):
            raise UserError(f'notes are {text}, expected texts')
        notes = cls(**values)
        if notes.kind not in KINDS:
            raise UserError(f'notes: kind is {notes.kind!r}, expected one of {KINDS}')
        return notes
