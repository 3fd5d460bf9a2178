"""What a pipeline has come to, from demonstrations to a success rate: as data and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from so101_bringup import figures
from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.remains import Converted, Judged, Remains
from so101_bringup.pipeline.selection import SUCCESS, select
from so101_bringup.pipeline.step import Step, steps
from so101_episodes import demonstrations
from so101_episodes.episode import software
from so101_evaluation.group import Group
from so101_evaluation.report import Report as EvaluationReport
from so101_policy import json_object
from so101_training.training import history
from so101_training.training.history import CSV, Row

FORM = 1  # of report.json: the value of its key 'so101_pipeline_report'

_LIBRARIES = ('mujoco', 'torch', 'transformers', 'lerobot', 'numpy')


@dataclass(frozen=True)
class Taken:
    """A step: what was typed for it, and the seconds that it took, also before it was killed."""

    name: str
    commands: Sequence[str]
    began: str
    seconds: float


@dataclass(frozen=True)
class Demonstrated:
    """How many were `recorded`, `succeeded` and are `kept` to be trained on; name -> why not."""

    recorded: int
    succeeded: int
    kept: int
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """Of a pipeline that has come to its end.

    `verdicts`: how many demonstrations the check calls good, doubtful, bad. `training`: its rows,
    see training.csv. `rollouts`: the evaluation's episodes.
    """

    made: str
    parameters: Parameters
    steps: Sequence[Taken]
    demonstrated: Demonstrated
    verdicts: Mapping[str, int]
    dataset: Converted
    training: Sequence[Row]
    rollouts: Group
    machine: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds; the schema stands in docs/pipeline.md."""
        return {
            'so101_pipeline_report': FORM,
            'made': self.made,
            'parameters': asdict(self.parameters),
            'steps': [asdict(step) for step in self.steps],
            'demonstrations': asdict(self.demonstrated),
            'check': dict(self.verdicts),
            'dataset': {'episodes': len(self.dataset.episodes), 'frames': self.dataset.frames},
            'training': asdict(self.training[-1]) if self.training else None,
            'evaluation': self.rollouts.to_json(),
            'machine': dict(self.machine),
            'versions': dict(self.versions),
        }


def build(parameters: Parameters, remains: Remains) -> Report:
    """Return the report on what is there, when every step is done. Raises UserError."""
    folder = Folder(parameters.out)
    demonstrated = [one for one in remains.recorded if demonstrations.counts(one)]
    assert remains.judged is not None and remains.converted is not None
    evaluated = EvaluationReport.from_json(json_object.read(folder.rollouts / folder.data.name))
    return Report(
        made=datetime.now().astimezone().isoformat(timespec='seconds'),
        parameters=parameters,
        steps=tuple(_taken(step, remains) for step in steps(parameters)),
        demonstrated=Demonstrated(
            recorded=len(demonstrated),
            succeeded=sum(one.outcome == SUCCESS for one in demonstrated),
            kept=len(remains.converted.episodes),
            left_out=_left_out(parameters, remains, remains.judged, remains.converted),
        ),
        verdicts=dict(Counter(one.verdict for one in remains.judged)),
        dataset=remains.converted,
        training=history.read(folder.train / CSV),
        rollouts=evaluated.overall,
        machine=figures.machine(),
        versions=_versions(),
    )


def _taken(step: Step, remains: Remains) -> Taken:
    entry = remains.noted[step]
    return Taken(step.value, entry.commands, entry.began, entry.seconds)


def _left_out(
    parameters: Parameters, remains: Remains, judged: Sequence[Judged], converted: Converted
) -> dict[str, str]:
    """Return why demonstrations are not in the dataset: the choice, or what convert said."""
    selection = select(remains.recorded, judged, parameters.demonstrations)
    skipped = {
        one.name: converted.left_out.get(one.name, 'convert skipped it')
        for one in selection.kept
        if one.name not in converted.episodes
    }
    return dict(sorted({**selection.left_out, **skipped}.items()))


def _versions() -> dict[str, str]:
    found = software()
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
