"""JSON objects from outside: read from a file or a text, their fields checked by type."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from so101_node.error import UserError


def read(path: Path) -> dict[str, Any]:
    """Return the object in the file. UserError when it is missing or holds something else."""
    require(path)
    try:
        return parse(path.read_text(), path, cure='; copy the file again')
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: not text: {error}; copy the file again') from error


def parse(text: str | bytes, where: object, cure: str = '') -> dict[str, Any]:
    """Return the object in `text`; `where` names its origin in the UserError, `cure` ends it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f'{where}: not JSON: {error}{cure}') from error
    if not isinstance(value, dict):
        raise UserError(f'{where}: holds a {type(value).__name__}, expected a JSON object')
    return value


def require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f'checkpoint {path.parent}: {path.name} is missing; copy the whole folder')


def field(
    values: Mapping[str, Any], key: str, kind: type | tuple[type, ...], where: object
) -> Any:
    """Return `values[key]`. UserError when it is missing or not of `kind`."""
    value = values.get(key)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    # In Python a bool is an int; in JSON it is not a number.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise UserError(
            f'{where}: {key} is {value!r}, expected {" or ".join(k.__name__ for k in kinds)}'
        )
    return value


def texts(values: Mapping[str, Any], key: str, where: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple. UserError when it is something else."""
    found = field(values, key, list, where)
    if not all(isinstance(text, str) for text in found):
        raise UserError(f'{where}: {key} is {found!r}, expected a list of texts')
    return tuple(found)
