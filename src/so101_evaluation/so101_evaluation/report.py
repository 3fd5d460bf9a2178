"""What many episodes say together: the report, as data and as JSON; pure.

A report is its episodes. Everything else in it (rates, intervals, medians) follows from them, so
that a report that is read again cannot contradict itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from so101_evaluation.contrast import contrasts
from so101_evaluation.entry import Entry, typed
from so101_evaluation.group import Group, by_place
from so101_evaluation.labels import labels
from so101_node.error import UserError

FORM = 1  # of report.json: the value of its key 'so101_report'


@dataclass(frozen=True)
class Report:
    """`title`: of what; `made`: ISO 8601; `kind`: of its episodes, see episode.KINDS, or 'all'.

    `skipped`: folder -> why it could not be read. `left_out`: how many episodes of other kinds
    there are.
    """

    title: str
    made: str
    kind: str
    entries: tuple[Entry, ...]
    skipped: Mapping[str, str]
    left_out: int

    @property
    def overall(self) -> Group:
        return Group('all', self.entries)

    @property
    def labels(self) -> dict[str, str]:
        """Checkpoint -> its short name in this report."""
        return labels(entry.checkpoint for entry in self.entries)

    def by_checkpoint(self) -> list[Group]:
        """Return a group for each checkpoint, named by its label."""
        names = self.labels
        return self.overall.split(lambda entry: names[entry.checkpoint])

    @property
    def places(self) -> list[str]:
        return [group.name for group in by_place(self.overall)]

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds; the schema stands in the package's README."""
        names = self.labels
        return {
            'so101_report': FORM,
            'title': self.title,
            'made': self.made,
            'kind': self.kind,
            'overall': self.overall.to_json(),
            'checkpoints': {
                group.name: {
                    'checkpoint': group.entries[0].checkpoint,
                    **group.to_json(),
                    'places': {at.name: at.to_json() for at in by_place(group)},
                }
                for group in self.by_checkpoint()
            },
            'places': {group.name: group.to_json() for group in by_place(self.overall)},
            'differences': [each.to_json() for each in contrasts(self.by_checkpoint())],
            'episodes': [
                {**asdict(entry), 'label': names[entry.checkpoint]} for entry in self.entries
            ],
            'skipped': dict(self.skipped),
            'left_out': self.left_out,
        }

    @classmethod
    def from_json(cls, document: Any) -> 'Report':
        """Return the report that to_json wrote; raises UserError for anything else."""
        if not isinstance(document, dict) or 'so101_report' not in document:
            raise UserError('it is no report: it lacks the key so101_report')
        if document['so101_report'] != FORM:
            raise UserError(
                f'it is a report of form {document["so101_report"]!r}, this is for {FORM}; '
                'write it again with so101 report'
            )
        try:
            values = typed(cls, {'entries': document.get('episodes'), **document})
            values['entries'] = tuple(Entry.from_json(data) for data in values['entries'])
        except ValueError as error:
            raise UserError(f'it is no sound report: {error}') from error
        return cls(**values)
