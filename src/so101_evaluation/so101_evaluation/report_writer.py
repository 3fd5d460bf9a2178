"""A report on disk, kept up to date: episodes in, report.html and report.json out."""

import json
import os
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from so101_episodes.episode import FILE, PARTIAL, Episode
from so101_evaluation import report_page
from so101_evaluation.entry import Entry
from so101_evaluation.filmstrip import filmstrip
from so101_evaluation.labels import tail
from so101_evaluation.report import Report
from so101_node.error import UserError
from so101_view.video_file import find_video

PAGE, DATA = 'report.html', 'report.json'

ALL = 'all'  # episodes of whatever kind

_OF_A_BAG = 'metadata.yaml'

# What an episode.json that changed differs in: when it was written, nanoseconds, and its size.
_State = tuple[int, int] | None


class _Pictures(NamedTuple):
    """Of an episode: a data URI, '' when there are none, and then why the bag cannot be read."""

    uri: str
    damage: str


class ReportWriter:
    """Reads episodes, and writes the report of them.

    What was read of an episode is kept until its episode.json changes, its pictures until there is
    another one in its folder: a report that is made anew costs what is new in it.
    """

    def __init__(
        self,
        sources: Sequence[Path],
        out: Path,
        kind: str = 'rollout',
        checkpoints: Sequence[str] = (),
    ) -> None:
        """`sources`: episodes, or folders of episodes; `out`: a folder.

        `kind`: one of episode.KINDS, or ALL. `checkpoints`: ends of the paths of those to report
        on, such as 020000; without any, all of them.
        """
        self.page, self.data = out / PAGE, out / DATA
        self._sources = sources
        self._out = out
        self._kind = kind
        self._checkpoints = [tail(text) for text in checkpoints]
        self._states: dict[Path, _State] = {}
        self._episodes: dict[Path, Episode | str] = {}  # a text says why it cannot be read
        self._pictures: dict[tuple[str, int], _Pictures] = {}

    def changed(self) -> bool:
        """Return whether read() would find other episodes than the last time."""
        return self._look() != self._states

    def read(self, advance: Callable[[int, int], None] = lambda done, of: None) -> Report:
        """Return the report as it is now; `advance` hears how many of how many episodes it has.

        Raises UserError for sources that are none.
        """
        states = self._look()
        self._episodes = {
            path: self._episodes[path]
            if path in self._episodes and state == self._states[path]
            else _read(path)
            for path, state in states.items()
        }
        self._states = states
        found = {path: e for path, e in self._episodes.items() if isinstance(e, Episode)}
        of_kind = {path: e for path, e in found.items() if self._kind in (ALL, e.kind)}
        chosen = {path: e for path, e in of_kind.items() if self._of_checkpoint(e)}
        entries: list[Entry] = []
        for path in sorted(chosen, key=lambda path: (chosen[path].started, path)):
            advance(len(entries), len(chosen))
            entries.append(self._entry(path, chosen[path]))
        return Report(
            title=', '.join(path.resolve().name for path in self._sources),
            made=datetime.now().astimezone().isoformat(timespec='seconds'),
            kind=self._kind,
            entries=tuple(entries),
            skipped={
                self._from_out(path): why
                for path, why in self._episodes.items()
                if isinstance(why, str)
            },
            left_out=len(found) - len(of_kind),
        )

    def write(self, report: Report) -> None:
        """Write what read() returned last: each file whole or not at all. Raises UserError."""
        pictures = [self._pictures[entry.name, entry.started].uri for entry in report.entries]
        write_whole(self.page, report_page.render(report, pictures))
        write_whole(self.data, as_json(report.to_json()))

    def unfilmed(self, report: Report) -> list[Path]:
        """Return the episodes of what read() returned last that have images, but no video."""
        return [
            self._out / entry.folder
            for entry in report.entries
            if not entry.video and self._pictures[entry.name, entry.started].uri
        ]

    def _look(self) -> dict[Path, _State]:
        folders = [folder for source in self._sources for folder in _episodes_in(source)]
        return {folder: _state(folder / FILE) for folder in folders}

    def _of_checkpoint(self, episode: Episode) -> bool:
        parts = tail(episode.checkpoint)
        return not self._checkpoints or any(parts[-len(end) :] == end for end in self._checkpoints)

    def _entry(self, path: Path, episode: Episode) -> Entry:
        key = path.name, episode.started
        if key not in self._pictures:
            self._pictures[key] = _pictures(path, episode)
        return Entry.of(
            episode,
            path.name,
            self._from_out(path),
            *self._video(path, episode),
            damage=self._pictures[key].damage,
        )

    def _video(self, path: Path, episode: Episode) -> tuple[str, float]:
        """Return the episode's video, '' for none, and the second at which it begins there."""
        own = path / 'video.mp4'
        if own.is_file():
            return self._from_out(own), 0.0
        try:
            found = find_video(path.parent, episode.started)
        except FileNotFoundError:  # it got its final name just now
            found = None
        return (self._from_out(found[0]), found[1]) if found else ('', 0.0)

    def _from_out(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._out)).as_posix()


def write_whole(path: Path, text: str) -> None:
    """Write a file, all of it or none; raises UserError."""
    partial = path.with_name(f'{path.name}.partial')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f'cannot write {path}: {error.strerror}; give another --out') from error


def as_json(document: object) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + '\n'


def _episodes_in(source: Path) -> list[Path]:
    """Return the folders to look at: the source itself, or what in it may be an episode."""
    try:
        if _is_episode(source):
            return [source]
        unfinished = source / PARTIAL
        return [
            *sorted(path for path in source.iterdir() if _is_episode(path)),
            *(sorted(unfinished.iterdir()) if unfinished.is_dir() else ()),
        ]
    except OSError as error:
        raise UserError(
            f'{source}: {error.strerror}; give an episode, or a folder of episodes'
        ) from error


def _is_episode(folder: Path) -> bool:
    return (folder / FILE).is_file() or (folder / _OF_A_BAG).is_file()


def _state(file: Path) -> _State:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(folder: Path) -> Episode | str:
    if folder.parent.name == PARTIAL:  # for a moment, its episode.json may say otherwise
        return 'it is being recorded, or its recorder was killed: so101 salvage makes it whole'
    try:
        return Episode.load(folder)
    except UserError as error:
        return str(error)


def _pictures(folder: Path, episode: Episode) -> _Pictures:
    try:
        strip = filmstrip(folder, episode)
    except UserError as error:
        return _Pictures('', str(error))
    return _Pictures(f'data:image/jpeg;base64,{b64encode(strip).decode()}' if strip else '', '')
