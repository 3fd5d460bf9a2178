"""How many demonstrations a folder of episodes holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from so101_episodes.episode import FILE, Episode
from so101_node.error import UserError


def count(directory: Path, report: Callable[[str], None]) -> int:
    """Count the demonstrations that were finished; an episode.json that cannot be read is told."""
    there = 0
    for path in sorted(directory.glob(f'[!.]*/{FILE}')):
        try:
            episode = Episode.load(path.parent)
        except UserError as error:
            report(f'not counted: {error}')
            continue
        there += counts(episode)
    return there


class _Kept(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def salvaged(self) -> bool: ...


def counts(episode: _Kept) -> bool:
    """Return whether it is a whole demonstration: not what a recorder that was killed left."""
    return episode.kind == 'demonstration' and not episode.salvaged
