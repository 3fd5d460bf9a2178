"""check: what is wrong with recorded episodes, a verdict for each, on one page.

    so101 check dataset
    so101 check recordings
    so101 check dataset --fix dataset_without_the_bad

It writes check.html, which needs no other file, beside the dataset or the episodes. Exit code: 0
when nothing is bad, 1 when something is (or after an error), 2 for wrong arguments; with --fix 0
when the new dataset was written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_training.checks import survey
from so101_training.checks.bags import Bags
from so101_training.checks.dataset import Dataset
from so101_training.checks.verdict import Judgement, judged

DESCRIPTION = 'Check recorded episodes: pictures, rates, joints, grasps, texts; a verdict for each.'


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with the code that the module's docstring gives."""
    given = _parser().parse_args(words)
    try:
        good = run(given)
    except KeyboardInterrupt:
        print('check: stopped; nothing half-written is left', file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f'check: {error}', file=sys.stderr)
        sys.exit(1)
    sys.exit(0 if good else 1)


def run(given: argparse.Namespace) -> bool:
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    source = survey.opened(given.path, given.exclude_cameras)
    title = ', '.join(path.resolve().name for path in given.path)
    with progress_bar(console) as progress:
        bar = progress.add_task('looking at pictures')
        collection = survey.surveyed(
            source,
            title,
            lambda done, of: progress.update(bar, completed=done, total=of),
            survey.cores(),
        )
    judgement = judged(collection)
    for verdict in judgement.verdicts:
        for f in verdict.findings:
            print(verdict.number, verdict.name, f.severity, f.check, f.camera, f.text)
    for f in judgement.whole:
        print('all', f.severity, f.check, f.text)
    return judgement.good


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='check', description=DESCRIPTION)
    parser.add_argument('path', type=Path, nargs='+')
    parser.add_argument('--exclude-cameras', type=lambda t: t.split(','), default=[])
    return parser


if __name__ == '__main__':
    main()
