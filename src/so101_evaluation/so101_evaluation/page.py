"""The pages' common ground: templates, and how numbers are written; pure."""

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from so101_evaluation.charts import DIFFERENCES, PARTS
from so101_evaluation.contrast import points
from so101_evaluation.figure_name import split
from so101_evaluation.statistics import Interval

OWN = 'so101_evaluation'


@cache
def environment(package: str = OWN, folder: str = 'templates') -> Environment:
    """Return the templates of a package, and the frame of a page, its look and charts.

    Every text in them is escaped: tasks and reasons may hold anything.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), PackageLoader(OWN)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {'percent': percent, 'range': interval, 'points': points, 'number': number}
    made.globals |= {'PARTS': PARTS, 'DIFFERENCES': DIFFERENCES, 'split_name': split}
    made.globals['axis_label'] = axis_label
    return made


def template(name: str) -> Template:
    """Return one of this package's templates."""
    return environment().get_template(name)


def percent(part: float | None) -> str:
    return '-' if part is None else f'{100 * part:.0f} %'


def interval(found: Interval | None) -> str:
    """Return an interval of rates: '48 to 85 %'."""
    return '-' if found is None else f'{100 * found.low:.0f} to {100 * found.high:.0f} %'


def number(value: float | None, unit: str = '') -> str:
    """Return a value with three digits, never as a power of ten, and its unit."""
    if value is None:
        return '-'
    size = abs(value)
    text = f'{value:.0f}' if size >= 100 or not size else f'{value:#.3g}'
    return f'{text if size >= 0.01 or not size else f"{value:.4f}"} {unit}'.strip()


def axis_label(words: str, unit: str) -> str:
    return f'{words} [{unit}]' if unit else words
