"""The report as a page: one HTML file, which leads to the reports of the parts; pure."""

from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.parameters import training_words
from so101_bringup.pipeline.report import Report
from so101_bringup.pipeline.step import Step
from so101_evaluation import page
from so101_evaluation.report_page import FEATURED
from so101_training.training.history import CSV, duration


def render(report: Report, curve: str) -> str:
    """Return the page. `curve`: the picture of the training as a data URI."""
    folder = Folder(report.parameters.out)
    here = folder.path
    links = {
        Step.DEMONSTRATE: folder.recordings,
        Step.CHECK: folder.check_page,
        Step.CONVERT: folder.dataset,
        Step.POLICY: folder.policy,
        Step.TRAIN: folder.train,
        Step.EVALUATE: folder.rollouts / folder.page.name,
    }
    given = {name: value for name, value in vars(report.parameters).items() if name != 'training'}
    return page.environment('so101_bringup', 'pipeline/templates').get_template(
        'pipeline.html'
    ).render(
        report=report,
        parameters={**given, 'training': ' '.join(training_words(report.parameters.training))},
        links={step.value: path.relative_to(here).as_posix() for step, path in links.items()},
        table=(folder.train / CSV).relative_to(here).as_posix(),
        smoothness=[name for name in FEATURED if report.rollouts.figures.get(name)],
        curve=curve,
        duration=duration,
    )  # fmt: skip
