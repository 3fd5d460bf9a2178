"""A YAML file that a person wrote, key by key; what is wrong is told with file and line."""

import dataclasses
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from so101_node.error import UserError
from so101_node.field import checked


class YamlFile:
    """`root`: its nodes, None of an empty file."""

    def __init__(self, path: Path, name: str, cure: str) -> None:
        """Raise UserError for a file that cannot be read; it says the file's `name` and `cure`."""
        self.path = path
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else 'not a text'
            raise UserError(f'{name} {path}: {reason}; {cure}') from None
        try:
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise UserError(f'{path}:{_line_of(error)}: not YAML: {problem(error)}') from None

    def entries(
        self, node: yaml.Node | None, known: tuple[str, ...], name: str = ''
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Yield key and value of a mapping, the section `name`; an empty one has none.

        Without any `known` every key is. Raises UserError for an unknown key, and one that stands
        there twice.
        """
        if node is None or is_empty(node):
            return
        where = f'{name}: ' if name else ''
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f'{where}expected lines of the form "key: value"')
        seen = set()
        for key, value in node.value:
            text = str(key.value)
            if known and text not in known:
                close = difflib.get_close_matches(text, known, 1)
                hint = f'did you mean {close[0]}?' if close else f'known: {", ".join(known)}'
                raise self.error(key, f'{where}unknown key {text}; {hint}')
            if text in seen:
                raise self.error(key, f'{where}{text} stands there twice; keep one')
            seen.add(text)
            yield text, value

    def value(self, node: yaml.Node, field: dataclasses.Field, name: str) -> Any:
        """Return what stands there as the field's type. Raises UserError."""
        return value(node, field, f'{self.where(node)}: {name}')

    def where(self, node: yaml.Node | None) -> str:
        """Return file and line."""
        return f'{self.path}:{1 if node is None else node.start_mark.line + 1}'

    def error(self, node: yaml.Node | None, reason: str) -> UserError:
        return UserError(f'{self.where(node)}: {reason}')


def value(node: yaml.Node, field: dataclasses.Field, name: str) -> Any:
    """Return a node as the field's type. Raises UserError, which begins with `name`."""
    expected = list if get_args(field.type) else field.type
    if isinstance(node, yaml.MappingNode) or (
        isinstance(node, yaml.SequenceNode) != (expected is list)
    ):
        raise UserError(f'{name}: expected {expected.__name__}')  # type: ignore[union-attr]
    if field.type is str and isinstance(node, yaml.ScalarNode):
        # As it stands there: a serial number need not be put in quotes.
        found: Any = '' if is_empty(node) else node.value
    else:
        found = plain(node, name)
    return checked(field, found, name)


def plain(node: yaml.Node, name: str) -> Any:
    """Return what YAML takes a node for. Raises UserError, which begins with `name`."""
    try:
        return yaml.SafeLoader('').construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f'{name}: {error}') from None


def is_empty(node: yaml.Node) -> bool:
    return node.tag == 'tag:yaml.org,2002:null'


def problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, 'problem', None) or error)


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, 'problem_mark', None)
    return 1 if mark is None else mark.line + 1
