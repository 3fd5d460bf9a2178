"""The report in a dozen lines; pure."""

from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.report import Report
from so101_evaluation.figure_name import split
from so101_evaluation.page import interval, number, percent
from so101_evaluation.report_page import FEATURED
from so101_training.training.history import duration


def lines(report: Report) -> list[str]:
    """Return what a stranger wants to know."""
    folder = Folder(report.parameters.out)
    made, tally = report.demonstrated, report.rollouts.tally
    left_out = len(made.left_out)
    found = [
        f'demonstrations  {made.recorded} recorded, {made.succeeded} succeeded, {made.kept} '
        f'trained on{f"; {left_out} left out, see the report" if left_out else ""}',
        f'check           {_verdicts(report)}: {folder.check_page}',
        f'dataset         {len(report.dataset.episodes)} episodes, {report.dataset.frames:,} '
        f'frames: {folder.dataset}',
        *_training(report, folder),
        f'success         {tally.successes} of {tally.labelled} rollouts, {percent(tally.rate)} '
        f'(Wilson 95 %: {interval(tally.interval)}), from starts no demonstration had',
        *_smoothness(report),
        f'rollouts        {folder.rollouts / folder.page.name}',
        f'took            {duration(report.seconds)}: {_times(report)}',
        f'report          {folder.page}',
    ]
    return found


def _verdicts(report: Report) -> str:
    counts = [
        f'{report.verdicts[name]} {name}'
        for name in ('good', 'doubtful', 'bad')
        if name in report.verdicts
    ]
    return ', '.join(counts)


def _training(report: Report, folder: Folder) -> list[str]:
    if not report.training:
        return []
    first, last = report.training[0], report.training[-1]
    return [
        f'training        {last.step:,} steps from {report.parameters.policy} in '
        f'{duration(last.wall_s)}, loss {number(first.loss)} to {number(last.loss)}: '
        f'{folder.train}'
    ]


def _smoothness(report: Report) -> list[str]:
    figures = report.rollouts.figures
    name = next((name for name in FEATURED if figures.get(name)), None)
    if name is None or (found := figures[name]) is None:
        return []
    words, unit = split(name)
    return [f'smoothness      {words} {number(found.median, unit)} (median)']


def _times(report: Report) -> str:
    return ', '.join(f'{step.name} {duration(step.seconds)}' for step in report.steps)
