"""A figure's name as a person reads it: 'starved_seconds' is 'starved', in 's'; pure."""

import re

# How units are written at the end of names, and how a person writes them.
_UNITS = {
    'percent': '%',
    'seconds': 's',
    'hz': 'Hz',
    's2': 's²',
    's3': 's³',
    **{unit: unit for unit in ('degrees', 'rad', 'mm', 'm', 's', 'ms', 'us', 'mb')},
}
_UNIT = '|'.join(sorted(_UNITS, key=len, reverse=True))
_NAME = re.compile(rf'(?P<words>.+?)_(?P<unit>{_UNIT})(_per_(?P<per>{_UNIT}))?')


def split(name: str) -> tuple[str, str]:
    """Return what a figure is and its unit, '' for a number of things."""
    if not (found := _NAME.fullmatch(name)):
        return name.replace('_', ' '), ''
    unit = _UNITS[found['unit']] + (f'/{_UNITS[found["per"]]}' if found['per'] else '')
    return found['words'].replace('_', ' '), unit
