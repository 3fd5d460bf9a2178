"""Attributes of another library's module or class replaced for a while, if they are there."""

import contextlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from types import ModuleType
from typing import Any

from so101_node.error import UserError


@contextlib.contextmanager
def substituted(
    owner: ModuleType | type, replacements: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Have `owner` use the replacements, by attribute name, while the context lasts.

    The context gives the originals.

    Raises UserError when it lacks one: another version of the library than this was written for.
    """
    if missing := [name for name in replacements if not hasattr(owner, name)]:
        module = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
        package = module.partition('.')[0]
        raise UserError(
            f'{module} has no {", ".join(missing)}: {package} {version(package)} is '
            'another version than requirements.lock names; install that one: make setup'
        )
    before = {name: getattr(owner, name) for name in replacements}
    for name, replacement in replacements.items():
        setattr(owner, name, replacement)
    try:
        yield before
    finally:
        for name, original in before.items():
            setattr(owner, name, original)
