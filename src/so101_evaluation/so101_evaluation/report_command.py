"""report: success rates, failure reasons, smoothness and pictures of many episodes, on one page.

    so101 report recordings/evaluation_20260101_120000

It writes report.html, which needs no other file, and report.json beside the episodes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from so101_episodes.episode import KINDS
from so101_evaluation.page import interval, percent
from so101_evaluation.report import Report
from so101_evaluation.report_writer import ALL, ReportWriter
from so101_node.error import UserError
from so101_view import video

_FPS = 30  # of the videos, as of the cameras

DESCRIPTION = 'Report on episodes: success rates with intervals, reasons, figures, pictures.'


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error."""
    given = _parser().parse_args(words)
    try:
        run(given.source, given.out, given.kind, given.checkpoint, given.videos)
    except KeyboardInterrupt:
        print('report: stopped; nothing half-written is left', file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f'report: {error}', file=sys.stderr)
        sys.exit(1)


def run(
    sources: Sequence[Path],
    out: Path | None,
    kind: str,
    checkpoints: Sequence[str],
    videos: bool,
) -> None:
    """Read the episodes, write both files and say what they hold. Raises UserError.

    `out` None: beside the episodes, when they are in one folder. `videos`: render those that are
    missing first, each into its episode's folder.
    """
    if out is None and len(sources) > 1:
        raise UserError('give --out: the episodes are in several folders')
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    writer = ReportWriter(sources, out or sources[0], kind, checkpoints)
    report = _read(writer, console)
    for folder, why in report.skipped.items():
        console.print(f'skipped: {folder}: {why}')
    if report.left_out:
        console.print(f'left out: {report.left_out} of another kind than {kind}; see --kind')
    if not report.entries:
        of_which = f' of checkpoint {" or ".join(checkpoints)}' if checkpoints else ''
        raise UserError(f'{report.title}: no {kind} episode{of_which}; nothing was written')
    if videos and (folders := writer.unfilmed(report)):
        video.run(folders, None, _FPS)
        report = _read(writer, console)
    writer.write(report)
    print(result(report, writer.page))


def _read(writer: ReportWriter, console: Console) -> Report:
    with Progress(console=console) as progress:
        bar = progress.add_task('reading episodes')
        report = writer.read(lambda done, of: progress.update(bar, completed=done, total=of))
        progress.update(bar, completed=len(report.entries), total=len(report.entries))
    return report


def result(report: Report, page: Path) -> str:
    """Return the report in a line."""
    tally = report.overall.tally
    without = f', {tally.unlabelled} unlabelled' if tally.unlabelled else ''
    if not tally.labelled:
        return f'{tally.total} episodes, none of them labelled: {page}'
    return (
        f'{tally.successes} of {tally.labelled} successes, {percent(tally.rate)} '
        f'(Wilson 95 %: {interval(tally.interval)}){without}: {page}'
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='report', description=DESCRIPTION)
    parser.add_argument('source', type=Path, nargs='+', help='episodes, or folders of episodes')
    parser.add_argument('--out', type=Path, help="folder to write to; default: the episodes'")
    parser.add_argument(
        '--kind',
        choices=(*filter(None, KINDS), ALL),
        default='rollout',
        help='which episodes; default: rollout',
    )
    parser.add_argument(
        '--checkpoint',
        action='append',
        default=[],
        help='only those of this checkpoint: its path, or the end of it, such as 020000; '
        'again for each one',
    )
    parser.add_argument(
        '--videos',
        action='store_true',
        help='render the video of each episode that has none, as so101 video does',
    )
    return parser


if __name__ == '__main__':
    main()
