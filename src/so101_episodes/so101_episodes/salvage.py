"""salvage: make whole episodes of what killed recorders, or full disks, left unfinished.

    so101 salvage recordings

The recorder does so by itself when it starts. An unfinished episode lies in <directory>/.partial;
one that is being recorded is left alone. Each becomes an episode of its own name, with every
message that reached the disk, unlabelled, and `salvaged` in its episode.json. Until it is done it
takes twice its room; interrupted, it is done again from the start.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from so101_episodes import bag_scan
from so101_episodes.bag import Bag, Channel, sync
from so101_episodes.claim import Claim, alone
from so101_episodes.episode import FILE, PARTIAL, Episode, TopicCount
from so101_episodes.summary import described
from so101_node.error import UserError

DESCRIPTION = 'Make whole episodes of what killed recorders left unfinished.'

REASON = 'the recorder was killed'

_SCRATCH = 'salvage'  # the folder, in the unfinished one, of the bag that is being written

# Messages between two questions whether to stop: some milliseconds.
_STOP_EVERY = 100


class Stopped(Exception):
    """It was asked to stop; what was unfinished still is."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 when something stays unfinished."""
    parser = argparse.ArgumentParser(prog='salvage', description=DESCRIPTION)
    parser.add_argument('directory', type=Path, help='the folder of the episodes')
    directory = parser.parse_args(words).directory
    if not directory.is_dir():
        sys.exit(f'salvage: {directory}: no such folder; give the folder of the episodes')
    failures: list[str] = []

    def warn(line: str) -> None:
        failures.append(line)
        print(f'salvage: {line}', file=sys.stderr)

    try:
        found = salvage(directory, print, warn)
    except KeyboardInterrupt:
        sys.exit('salvage: interrupted; call it again')
    if not found and not failures:
        print(f'{directory}: nothing is unfinished')
    sys.exit(1 if failures else 0)


def salvage(
    recordings: Path,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
    stopping: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Finish every unfinished episode that nobody records; return their folders.

    `tell` hears what is done, `warn` what stays unfinished and why. Raises Stopped.
    """
    done: list[Path] = []
    with ExitStack() as claims:
        try:
            folders = _claimed(recordings, claims)
        except OSError as error:
            warn(f'cannot look through {recordings / PARTIAL}: {error.strerror}')
            return done
        for folder in folders:
            try:
                path = _salvage_one(folder, recordings / folder.name, tell, stopping)
                done += [path] if path else []
            except UserError as error:
                warn(f'{folder} stays unfinished: {error}')
            except OSError as error:
                shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
                warn(
                    f'{folder} stays unfinished: {error.strerror}: {error.filename or folder}; '
                    'mend that, then: so101 salvage'
                )
    return done


def _claimed(recordings: Path, claims: ExitStack) -> list[Path]:
    """Claim each folder that nobody else has until `claims` are closed."""
    folders = []
    with alone(recordings) as partial:
        for folder in sorted(path for path in partial.iterdir() if path.is_dir()):
            try:
                claim = Claim(folder)
            except BlockingIOError:
                continue  # it is being recorded, or somebody salvages it
            claims.callback(claim.release)
            folders.append(folder)
    return folders


def _salvage_one(
    folder: Path, path: Path, tell: Callable[[str], None], stopping: Callable[[], bool]
) -> Path | None:
    """Make `path` of the unfinished `folder`; None when that holds no message and is deleted.

    Raises UserError for a folder that is none of a recorder's, OSError and Stopped.
    """
    if path.exists():  # salvaged, and killed before it could tidy up
        Episode.load(path)
        shutil.rmtree(folder)
        return None
    draft = _draft(folder)
    if draft is not None and draft.complete:  # only its final name is lacking
        folder.rename(path)
        sync(path.parent)
        return path
    file = folder / f'{folder.name}.mcap'
    known = {file.name, f'{FILE}.tmp', FILE, 'metadata.yaml', 'metadata.yaml.tmp', _SCRATCH}
    if odd := [entry.name for entry in folder.iterdir() if entry.name not in known]:
        raise UserError(f'{", ".join(sorted(odd))} in it is none of a recorder; move it away')
    size = file.stat().st_size if file.exists() else 0
    shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
    if (free := shutil.disk_usage(folder).free) < size:
        raise UserError(
            f'{free // 1_000_000} MB are free, it needs {size // 1_000_000}; make room, then: '
            'so101 salvage'
        )
    tell(f'salvaging {folder}, {size / 1e6:.1f} MB, {REASON}')
    bag = folder / _SCRATCH / folder.name
    episode = _copied(file, bag, draft, stopping) if size else None
    if episode is None:
        shutil.rmtree(folder)
        tell(f'{folder} held no message and is deleted')
        return None
    replace(described(episode, bag), complete=True).save(bag)
    bag.rename(path)
    sync(path.parent)
    shutil.rmtree(folder)
    tell(f'salvaged {path}: {episode.duration_s:.1f} s, unlabelled')
    return path


def _draft(folder: Path) -> Episode | None:
    if not (folder / FILE).exists():
        return None  # killed in the first moment
    try:
        return Episode.load_draft(folder)
    except UserError as error:
        raise UserError(f'{error}; delete that file to salvage the messages alone') from error


def _copied(
    file: Path, folder: Path, draft: Episode | None, stopping: Callable[[], bool]
) -> Episode | None:
    """Write a whole bag of what there is in `file`; return its episode, None without a message."""
    bag: Bag | None = None
    channels: dict[str, Channel] = {}
    counts: Counter[str] = Counter()
    first, last = 2**63, 0
    try:
        for channel, received, data in bag_scan.messages(file):
            bag = bag or Bag(folder)
            if channel.topic not in channels:
                channels[channel.topic] = channel
                bag.add(channel)
            bag.write(channel.topic, data, received)
            counts[channel.topic] += 1
            first, last = min(first, received), max(last, received)
            if counts.total() % _STOP_EVERY == 0 and stopping():
                raise Stopped
    except BaseException:
        if bag is not None:
            bag.abandon()
        raise
    if bag is None:
        return None
    bag.close()
    draft = draft or Episode.begun(first, kind='', task='', checkpoint='', place='')
    duration = max(last - draft.started, 1) * 1e-9
    return replace(
        draft,
        reason=REASON,
        salvaged=True,
        ended=last,
        duration_s=duration,
        topics={
            **draft.topics,
            **{
                topic: TopicCount(
                    channel.type, counts[topic], None, None, counts[topic] / duration
                )
                for topic, channel in channels.items()
            },
        },
    )


if __name__ == '__main__':
    main()
