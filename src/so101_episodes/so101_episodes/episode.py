"""What is known about one episode besides its messages: episode.json in the episode's folder."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, get_origin

from so101_episodes.bag import sync
from so101_node.error import UserError

FILE = 'episode.json'
PARTIAL = '.partial'  # the folder, beside the finished episodes, of those being recorded
OUTCOMES = ('success', 'failure', 'unlabelled')

# Whose versions decide what an episode contains; those installed are noted.
_SOFTWARE = ('so101_episodes', 'so101_policy', 'so101_driver', 'lerobot', 'torch', 'rosbags')


@dataclass(frozen=True)
class TopicCount:
    """One topic's messages from its first to its last in the episode.

    `published` and `lost` are None for a topic of several publishers, where the middleware's
    numbers tell nothing. `rate_hz` is messages a second of the episode.
    """

    type: str
    messages: int
    published: int | None
    lost: int | None
    rate_hz: float


@dataclass(frozen=True)
class Episode:
    """`started`, `ended`: nanoseconds of system time; `checkpoint`: of the policy, or empty."""

    task: str
    outcome: str
    reason: str
    checkpoint: str
    started: int
    ended: int
    duration_s: float
    topics: Mapping[str, TopicCount]
    software: Mapping[str, str]

    def save(self, folder: Path) -> None:
        """Write episode.json into `folder`, all of it or none, and return once it is on disk."""
        draft = folder / f'{FILE}.tmp'
        draft.write_text(json.dumps(asdict(self), indent=2) + '\n')
        sync(draft)
        draft.rename(folder / FILE)
        sync(folder)

    @classmethod
    def load(cls, folder: Path) -> 'Episode':
        """Read what save wrote; raises UserError when it is absent or something else."""
        path = folder / FILE
        try:
            data = json.loads(path.read_text())
            values = _typed(cls, data)
            values['topics'] = {
                topic: TopicCount(**_typed(TopicCount, counts))
                for topic, counts in data['topics'].items()
            }
            if values['outcome'] not in OUTCOMES:
                raise ValueError(f'outcome is {values["outcome"]!r}, not in {OUTCOMES}')
            if not all(isinstance(version, str) for version in values['software'].values()):
                raise ValueError('software: expected text for each version')
        except FileNotFoundError:
            raise UserError(f'{folder} is not a finished episode: it has no {FILE}') from None
        except (OSError, ValueError) as error:
            raise UserError(f'cannot read {path}: {error}') from error
        return cls(**values)


def new_name(recordings: Path, stamp: str) -> str:
    """Return `<stamp>_<n>` with the first n, from 0, that no episode in `recordings` has."""
    for n in count():
        name = f'{stamp}_{n}'
        if not (recordings / name).exists() and not (recordings / PARTIAL / name).exists():
            return name
    raise AssertionError('unreachable')


def software() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that shape an episode."""
    versions = {'python': platform.python_version()}
    for name in _SOFTWARE:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _typed(kind: type, data: Any) -> dict[str, Any]:
    """Return `data` as keyword arguments for the dataclass `kind`, or raise ValueError."""
    names = {field.name for field in fields(kind)}
    if not isinstance(data, dict):
        raise ValueError(f'expected an object for {kind.__name__}, got {data!r}')
    if odd := names ^ set(data):
        raise ValueError(f'{", ".join(sorted(odd))}: missing or unknown in {kind.__name__}')
    for field in fields(kind):
        expected: Any = dict if get_origin(field.type) is Mapping else field.type
        if not isinstance(data[field.name], expected):
            raise ValueError(f'{field.name} is {data[field.name]!r}')
    return dict(data)
