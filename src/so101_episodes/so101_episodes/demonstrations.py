"""How many demonstrations a folder of episodes holds."""

from collections.abc import Callable
from pathlib import Path

from so101_episodes.episode import FILE, Episode
from so101_node.error import UserError


def count(directory: Path, report: Callable[[str], None]) -> int:
    """Count the demonstrations that were finished; an episode.json that cannot be read is told.

    What was salvaged from a recorder that was killed is no whole demonstration.
    """
    there = 0
    for path in sorted(directory.glob(f'[!.]*/{FILE}')):
        try:
            episode = Episode.load(path.parent)
        except UserError as error:
            report(f'not counted: {error}')
            continue
        there += episode.kind == 'demonstration' and not episode.salvaged
    return there
