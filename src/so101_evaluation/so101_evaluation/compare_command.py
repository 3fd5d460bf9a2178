"""compare: one report held against another, and what their difference allows to say.

    so101 compare recordings/evaluation_1 recordings/evaluation_2

It prints a table, and writes comparison.html and comparison.json.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from so101_evaluation import page
from so101_evaluation.comparison import Comparison
from so101_evaluation.contrast import Contrast, points
from so101_evaluation.labels import labels
from so101_evaluation.report import Report
from so101_evaluation.report_writer import DATA, PAGE, as_json, write_whole
from so101_node.error import UserError
from so101_policy import json_object

DESCRIPTION = 'Compare two reports: the difference, its interval, and what that allows to say.'


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error."""
    given = _parser().parse_args(words)
    try:
        run(given.first, given.second, given.out)
    except UserError as error:
        print(f'compare: {error}', file=sys.stderr)
        sys.exit(1)


def run(first: Path, second: Path, out: Path | None) -> None:
    """Read both reports, print the table, write both files. Raises UserError.

    `out` None: outputs/comparison/<second>_against_<first>.
    """
    files = [(path / DATA if path.is_dir() else path).absolute() for path in (first, second)]
    before, after = _names(files)
    comparison = Comparison(_read(files[0]), _read(files[1]), before, after)
    if out is None:
        out = Path('outputs/comparison', f'{after}_against_{before}'.replace('/', '_'))
    links = [
        (Path(os.path.relpath(file.with_name(PAGE), out)).as_posix(), report)
        for file, report in zip(files, (comparison.first, comparison.second), strict=True)
    ]
    document = page.template('comparison.html').render(comparison=comparison, links=links)
    write_whole(out / 'comparison.html', document)
    write_whole(out / 'comparison.json', as_json(comparison.to_json()))
    _show(comparison)
    print(f'written: {out / "comparison.html"}')


def _names(files: Sequence[Path]) -> tuple[str, str]:
    """Return what tells the reports apart: their folders' names, or else the files'."""
    if files[0] == files[1]:
        raise UserError(f'{files[0]} is given twice; give two reports')
    folders = [str(file.parent) for file in files]
    if folders[0] == folders[1]:
        return files[0].stem, files[1].stem
    short = labels(folders)
    return short[folders[0]], short[folders[1]]


def _show(comparison: Comparison) -> None:
    table = Table(title=comparison.overall.verdict, title_justify='left')
    table.add_column('success rate')
    for name in (comparison.first_name, comparison.second_name, 'difference', '95 %'):
        table.add_column(name, justify='right')
    _add(table, 'all', comparison.overall)
    for name, contrast in (comparison.checkpoints | comparison.places).items():
        _add(table, name, contrast)
    table.add_section()
    for pair in comparison.figures:
        medians = [page.number(of.median) if of else '-' for of in (pair.first, pair.second)]
        ratio = f'x {page.number(pair.ratio)}' if pair.ratio is not None else ''
        if pair.first or pair.second:
            table.add_row(page.axis_label(*page.split(pair.name)), *medians, ratio)
    console = Console(width=None if os.isatty(1) else 120, markup=False)
    console.print(table)
    for line in comparison.cautions:
        console.print(line, soft_wrap=True)


def _add(table: Table, name: str, contrast: Contrast) -> None:
    rates = [
        f'{page.percent(tally.rate)} ({tally.successes} of {tally.labelled})'
        for tally in (contrast.first.tally, contrast.second.tally)
    ]
    found = contrast.difference
    if found is None:
        table.add_row(name, *rates)
        return
    low, high = points(found.interval.low), points(found.interval.high)
    table.add_row(name, *rates, points(found.value), f'{low} to {high}')


def _read(path: Path) -> Report:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'cannot read {path}: {error}; so101 report writes one') from error
    try:
        return Report.from_json(json_object.parse(text, path))
    except UserError as error:
        raise UserError(f'{path}: {error}') from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='compare', description=DESCRIPTION)
    for name, which in (('first', 'before'), ('second', 'after')):
        parser.add_argument(name, type=Path, help=f'report.json, or its folder: {which}')
    parser.add_argument(
        '--out', type=Path, help='default: outputs/comparison/<second>_against_<first>'
    )
    return parser


if __name__ == '__main__':
    main()
