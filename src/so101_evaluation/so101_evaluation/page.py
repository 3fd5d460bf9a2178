"""The pages' common ground: templates, and how numbers are written; pure."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from so101_evaluation.charts import DIFFERENCES, PARTS
from so101_evaluation.contrast import points
from so101_evaluation.figure_name import split
from so101_evaluation.statistics import Interval


def template(name: str) -> Template:
    """Return a template. Every text in it is escaped: tasks and reasons may hold anything."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader('so101_evaluation'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {'percent': percent, 'range': interval, 'points': points, 'number': number}
    made.globals |= {'PARTS': PARTS, 'DIFFERENCES': DIFFERENCES, 'split_name': split}
    made.globals['axis_label'] = axis_label
    return made


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
