"""README.md of a checkpoint: what it is, how it came about, how it is run, what is not known."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from so101_training.training.history import Milestone, table
from so101_training.training.note import LIBRARIES
from so101_training.training.training_set import TrainingSet

_TEMPLATES = Environment(
    loader=PackageLoader('so101_training.training'),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # it is Markdown
)


def write(
    folder: Path,
    data: TrainingSet,
    cameras: Sequence[str],
    policy: Mapping[str, Any],
    parameters: Mapping[str, Any],
    milestones: Sequence[Milestone],
) -> None:
    """Write it into the checkpoint's folder.

    `policy` has type, base and hub (its name there; both may be None) and chunk (actions);
    `parameters` is shown as it is, with steps among them; the last of `milestones` is this
    checkpoint.
    """
    text = _TEMPLATES.get_template('model_card.md').render(
        policy=policy['type'],
        base=policy['base'],
        hub=policy['hub'],
        chunk=policy['chunk'],
        step=milestones[-1].step,
        steps=parameters['steps'],
        data=data,
        cameras=cameras,
        excluded=[camera for camera in data.cameras if camera not in cameras],
        parameters=parameters,
        table=table(milestones),
        versions={library: version(library) for library in LIBRARIES},
    )
    (folder / 'README.md').write_text(text)
