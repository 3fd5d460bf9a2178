"""A path as a person types it."""

from pathlib import Path


def typed(path: Path) -> Path:
    """Return an absolute path from the current folder on, if it is inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
