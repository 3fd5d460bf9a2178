"""check: what is wrong with recorded episodes, a verdict for each, on one page.

    so101 check dataset
    so101 check recordings
    so101 check dataset --fix dataset_without_the_bad

It writes check.html, which needs no other file, beside the dataset or the episodes. Exit code: 0
when nothing is bad, 1 when something is (or after an error), 2 for wrong arguments; with --fix 0
when the new dataset was written.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from so101_evaluation.report_writer import as_json, write_whole
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_policy.training import INFO
from so101_training.arguments import natural, numbers
from so101_training.checks import report_page, survey
from so101_training.checks.bags import is_bag
from so101_training.checks.dataset import Dataset
from so101_training.checks.finding import BAD, DOUBTFUL
from so101_training.checks.thumbnails import thumbnails
from so101_training.checks.verdict import Judgement, judged, ranges

DESCRIPTION = (
    'Check recorded episodes: pictures, rates, joints, grasps, texts; a verdict for each.'
)

PAGE = 'check.html'

# Lines that are printed of the bad episodes; the page has them all.
_LINES = 12


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with the code that the module's docstring gives."""
    given = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
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
    """Check, write what was asked for, say it; return whether all is good now. Raises UserError.

    `given`: as _parser() returns it.
    """
    paths: list[Path] = given.path
    if given.fix is None and (given.exclude or given.keep):
        raise UserError('--exclude and --keep are about --fix; give the folder to write to')
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    source = survey.opened(paths, given.exclude_cameras)
    if given.fix is not None and not isinstance(source, Dataset):
        raise UserError('--fix is for a dataset; convert the good episodes with so101 convert')
    if given.fix is not None and given.fix.exists():
        raise UserError(f'{given.fix} is there already; give another folder, or remove it')
    page = given.out or _page_beside(paths)
    title = ', '.join(path.resolve().name for path in paths)
    with progress_bar(console) as progress:
        collection = survey.surveyed(
            source, title, _shown(progress, 'looking at all pictures'), given.processes
        )
        judgement = judged(collection)
        strips = thumbnails(
            source, collection, judgement, _shown(progress, 'taking some'), given.processes
        )
    made = datetime.now().strftime('%Y-%m-%d %H:%M')
    write_whole(page, report_page.render(collection, judgement, strips, made))
    if given.json is not None:
        write_whole(given.json, as_json(judgement.to_json()))
    print(said(judgement, page))
    if given.fix is None or not isinstance(source, Dataset):
        return judgement.good
    # Only who fixes waits for LeRobot, which brings torch.
    from so101_training.checks.trimmed_dataset import left_out, trim

    gone = left_out(source, judgement.bad, given.exclude, given.keep)
    with progress_bar(console) as progress:
        trim(source, given.fix, gone, _shown(progress, 'copying'))
    kept = len(source.episodes) - len(gone)
    print(f'{given.fix}: {kept} episodes; left out: {ranges(sorted(gone)) or "none"}')
    return True


def said(judgement: Judgement, page: Path) -> str:
    """Return the verdict in some lines."""
    lines = []
    for camera, count in judgement.unusable_cameras():
        lines.append(
            f'the {camera} camera makes {count} of {len(judgement.verdicts)} episodes bad: check '
            f'and train without it, --exclude-cameras {camera}'
        )
    lines += [f'all episodes: {found.text}' for found in judgement.whole]
    bad = judgement.of(BAD)
    for verdict in bad[:_LINES]:
        worst = next(found for found in verdict.findings if found.severity == BAD)
        more = len(verdict.findings) - 1
        lines.append(f'{verdict.number}: {worst.text}{f" (and {more} more)" if more else ""}')
    if len(bad) > _LINES:
        lines.append(f'... and {len(bad) - _LINES} more bad ones')
    doubtful = [each.number for each in judgement.of(DOUBTFUL)]
    lines.append(
        f'{len(judgement.verdicts)} episodes: bad {ranges(judgement.bad) or "none"}; doubtful '
        f'{ranges(doubtful) or "none"}: {page}'
    )
    return '\n'.join(lines)


def _shown(progress: Progress, text: str) -> Callable[[int, int], None]:
    bar = progress.add_task(text)
    return lambda done, of: progress.update(bar, completed=done, total=of)


def _page_beside(paths: Sequence[Path]) -> Path:
    """Return where the page goes: beside a dataset, whose folder is LeRobot's, and a bag."""
    if len(paths) > 1:
        raise UserError('give --out: the episodes are in several folders')
    source = paths[0].resolve()
    if is_bag(source) or (source / INFO).is_file():
        return source.parent / f'{source.name}_{PAGE}'
    return source / PAGE


def _numbers(text: str) -> list[int]:
    try:
        return sorted(numbers(text, 'episodes'))
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(',') if part.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='check', description=DESCRIPTION)
    parser.add_argument(
        'path', type=Path, nargs='+', help='a dataset, episodes, or a folder of episodes'
    )
    parser.add_argument(
        '--out', type=Path, help=f'the page; default: {PAGE} beside the dataset or the episodes'
    )
    parser.add_argument('--json', type=Path, help='write the verdicts for a program, too')
    parser.add_argument(
        '--exclude-cameras',
        type=_names,
        default=[],
        metavar='NAMES',
        help='do not look at these cameras: overhead, or wrist,overhead',
    )
    parser.add_argument(
        '--fix', type=Path, metavar='OUT', help='write a new dataset without the bad episodes'
    )
    parser.add_argument(
        '--exclude', type=_numbers, default=[], metavar='3,17,20-25', help='leave these out, too'
    )
    parser.add_argument(
        '--keep', type=_numbers, default=[], metavar='5', help='keep these, bad or not'
    )
    parser.add_argument(
        '--processes', type=natural, default=survey.cores(), help='default: one a core'
    )
    return parser


if __name__ == '__main__':
    main()
