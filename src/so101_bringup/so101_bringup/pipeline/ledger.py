"""pipeline.json: what each step was made of, noted before it begins, and how long it took."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from so101_bringup.pipeline.step import Step
from so101_evaluation.report_writer import as_json, write_whole
from so101_node.error import UserError
from so101_policy import json_object
from so101_policy.json_object import field

_FORM = 1  # of the file: the value of its key 'so101_pipeline'


@dataclass(frozen=True)
class Entry:
    """What a step was begun with.

    `settings`: its parameters; `inputs`: what it was made of, name -> identity, both as JSON has
    them. `commands`: what was typed, each once. `seconds`: that these have taken until now.
    `pace`: seconds for one of its unit, as it was when the step last came to its end.
    """

    settings: Mapping[str, Any]
    inputs: Mapping[str, Any]
    commands: tuple[str, ...] = ()
    began: str = ''  # ISO 8601
    seconds: float = 0.0
    pace: float | None = None

    def typed(self, command: str) -> 'Entry':
        commands = (*self.commands, *([] if command in self.commands else [command]))
        return replace(self, commands=commands)


Ledger = Mapping[Step, Entry]


def read(path: Path) -> dict[Step, Entry]:
    """Return the entries; none when there is no file. Raises UserError for a broken one."""
    if not path.exists():
        return {}
    found = json_object.read(path)
    if found.get('so101_pipeline') != _FORM:
        raise UserError(
            f'{path}: so101_pipeline is {found.get("so101_pipeline")!r}, expected {_FORM}; move '
            'the folder away, or give another out='
        )
    entries = {}
    for name, values in field(found, 'steps', dict, path).items():
        if name not in list(Step) or not isinstance(values, dict):
            raise UserError(f'{path}: steps has {name!r}; move the folder away')
        where = f'{path}: {name}'
        entries[Step(name)] = Entry(
            settings=field(values, 'settings', dict, where),
            inputs=field(values, 'inputs', dict, where),
            commands=json_object.texts(values, 'commands', where),
            began=field(values, 'began', str, where),
            seconds=field(values, 'seconds', (int, float), where),
            pace=field(values, 'pace', (int, float, type(None)), where),
        )
    return entries


def write(path: Path, entries: Ledger) -> None:
    """Write them, all or none. Raises UserError."""
    steps = {step: asdict(entries[step]) for step in Step if step in entries}
    write_whole(path, as_json({'so101_pipeline': _FORM, 'steps': steps}))


def as_in_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are once they were written and read."""
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found
