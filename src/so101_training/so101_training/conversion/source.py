"""Where a dataset's episodes come from: folders of recordings, numbered, chosen by outcome."""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from so101_episodes.episode import FILE, OUTCOMES, PARTIAL, Episode
from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import RecordedEpisode
from so101_node.error import UserError

_METADATA = 'metadata.yaml'
_DATA = ('.mcap', '.db3', '.zstd')


@dataclass(frozen=True)
class Source:
    """One recorded episode, the `number`-th of those that were found, from 0.

    `outcome` is 'unlabelled' for a bag without episode.json. `broken` says why it cannot be
    converted, or is empty. `key` changes when its files change or move, `recording` is what was
    recorded, wherever it is and whatever its label.
    """

    number: int
    folder: Path
    kind: str
    task: str
    outcome: str
    reason: str
    duration: float
    key: str
    recording: str
    broken: str = ''

    @property
    def name(self) -> str:
        return self.folder.name


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the episodes at the paths: bags, or folders that hold bags, in the order of names.

    A folder with the data of a bag but without its metadata counts: it is a broken one. Raises
    UserError for a path that is no folder or holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f'{path}: no such folder; give episodes, or a folder of episodes')
        inside = [
            folder
            for folder in sorted(path.iterdir())
            if folder.is_dir() and folder.name != PARTIAL and _is_recording(folder)
        ]
        if (path / _METADATA).exists() or (not inside and _is_recording(path)):
            inside = [path]
        if not inside:
            raise UserError(f'{path}: no episode in it; give episodes, or a folder of episodes')
        found |= dict.fromkeys(folder.resolve() for folder in inside)
    return list(found)


def look(number: int, folder: Path) -> Source:
    """Return what is known of a recording without reading its messages."""
    known, duration, recording, broken = ('', '', 'unlabelled', ''), 0.0, '', ''
    try:
        bag = RecordedBag(folder)
        duration, recording = bag.duration, f'{bag.started}+{bag.count}'
        if (folder / FILE).exists():
            episode = Episode.load(folder)
            known = (episode.kind, episode.task, episode.outcome, episode.reason)
            broken = _clock(episode)
        else:
            known = ('', RecordedEpisode(folder).task, 'unlabelled', '')
    except UserError as error:
        broken = str(error).removeprefix(f'{folder}: ')
    return Source(number, folder, *known, duration, _key(folder), recording, broken)


def chosen(
    sources: Sequence[Source], outcomes: Collection[str], excluded: Collection[int]
) -> tuple[list[Source], dict[Source, str]]:
    """Return the sources that are wanted, and why each of the others is not.

    Raises UserError for an outcome that does not exist and a number that no episode has.
    """
    if odd := set(outcomes) - set(OUTCOMES):
        raise UserError(
            f'outcome {", ".join(sorted(odd))}: expected some of {", ".join(OUTCOMES)}'
        )
    if odd_numbers := set(excluded) - {source.number for source in sources}:
        raise UserError(
            f'no episode has the number {", ".join(map(str, sorted(odd_numbers)))}: there are 0 '
            f'to {len(sources) - 1}; --list shows them'
        )
    wanted: list[Source] = []
    others: dict[Source, str] = {}
    for source in sources:
        if source.number in excluded:
            others[source] = 'excluded by number'
        elif not source.broken and source.outcome not in outcomes:
            others[source] = f'its outcome is {source.outcome}'
        else:
            wanted.append(source)
    return wanted, others


def _is_recording(folder: Path) -> bool:
    return (folder / _METADATA).exists() or any(
        file.suffix in _DATA for file in folder.iterdir() if file.is_file()
    )


def _clock(episode: Episode) -> str:
    jumps = [mark.text for mark in episode.marks if mark.kind == 'clock']
    return f'its clock jumped while it was recorded: {jumps[0]}; record it again' if jumps else ''


def _key(folder: Path) -> str:
    """Return a digest of where the recording is and of when its files changed, and their sizes."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([str(folder), stats]).encode()).hexdigest()[:32]
