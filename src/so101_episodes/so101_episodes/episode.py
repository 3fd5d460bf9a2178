"""What is known about one episode besides its messages: episode.json in the episode's folder.

An episode is complete when episode.json says so. While it is recorded, the file holds what is
known already, with `complete` false, for who has to salvage what a killed recorder left.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, get_origin

from so101_cameras.image_health import Kind
from so101_episodes.bag import sync
from so101_node.error import UserError

FILE = 'episode.json'
PARTIAL = '.partial'  # the folder, beside the finished episodes, of those being recorded
OUTCOMES = ('success', 'failure', 'unlabelled')
KINDS = ('rollout', 'demonstration', '')  # who moved the arm: a policy, a person, or nobody said

# What a mark says of its source: what is wrong with a camera's images, the arm's states had a gap,
# the system clock jumped.
MARKS = (*(kind.value for kind in Kind), 'gap', 'clock')

# Whose versions decide what an episode contains; those installed are noted.
_SOFTWARE = ('so101_episodes', 'so101_policy', 'so101_driver', 'lerobot', 'torch', 'rosbags')

_JSON_TYPES: Mapping[Any, type] = {
    Mapping: dict,
    Sequence: list,
}  # of the fields that are read as such


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
class Mark:
    """A stretch of the episode in which something was wrong, nanoseconds of system time.

    `source` is a camera's name, a topic, or 'clock'; `kind` one of MARKS.
    """

    source: str
    kind: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Episode:
    """`started`, `ended`: nanoseconds of system time; `checkpoint`: of the policy, or empty.

    `place`: where the object was at the start, as asked for, or empty. `salvaged`: whether the
    recorder was killed before its end. `figures`: smoothness and timing; a name ends in its unit,
    None is what could not be measured. `arm`: what the driver said of it, its calibration for one.
    `cameras`: of each camera that was recorded, its settings.
    """

    complete: bool
    kind: str
    task: str
    outcome: str
    reason: str
    checkpoint: str
    place: str
    started: int
    ended: int
    duration_s: float
    salvaged: bool
    topics: Mapping[str, TopicCount]
    marks: Sequence[Mark]
    figures: Mapping[str, float | None]
    arm: Mapping[str, str]
    cameras: Mapping[str, Mapping[str, str | int]]
    software: Mapping[str, str]

    @classmethod
    def begun(cls, started: int, kind: str, task: str, checkpoint: str, place: str) -> 'Episode':
        """Return what is known when an episode begins."""
        return cls(
            complete=False,
            kind=kind,
            task=task,
            outcome='unlabelled',
            reason='',
            checkpoint=checkpoint,
            place=place,
            started=started,
            ended=started,
            duration_s=0.0,
            salvaged=False,
            topics={},
            marks=(),
            figures={},
            arm={},
            cameras={},
            software=software(),
        )

    def save(self, folder: Path) -> None:
        """Write episode.json into `folder`, all of it or none, and return once it is on disk."""
        draft = folder / f'{FILE}.tmp'
        draft.write_text(json.dumps(asdict(self), indent=2) + '\n')
        sync(draft)
        draft.rename(folder / FILE)
        sync(folder)

    @classmethod
    def load(cls, folder: Path) -> 'Episode':
        """Read a complete episode's; raises UserError when there is none, or something else."""
        episode = cls.load_draft(folder)
        if not episode.complete:
            raise UserError(
                f'{folder} is not a finished episode: it is being recorded, or its recorder was '
                'killed; the next recorder of that directory salvages it'
            )
        return episode

    @classmethod
    def load_draft(cls, folder: Path) -> 'Episode':
        """Read what save wrote, complete or not; raises UserError."""
        path = folder / FILE
        try:
            values = _typed(cls, json.loads(path.read_text()))
            values['topics'] = {
                topic: TopicCount(**_typed(TopicCount, counts))
                for topic, counts in values['topics'].items()
            }
            values['marks'] = tuple(Mark(**_typed(Mark, mark)) for mark in values['marks'])
            _check(values)
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


def _check(values: Mapping[str, Any]) -> None:
    """Raise ValueError for a value of the right type that is none of those there are."""
    for name, choices in (('outcome', OUTCOMES), ('kind', KINDS)):
        if values[name] not in choices:
            raise ValueError(f'{name} is {values[name]!r}, not in {choices}')
    for mark in values['marks']:
        if mark.kind not in MARKS:
            raise ValueError(f'a mark is of kind {mark.kind!r}, not in {MARKS}')
    for name in ('software', 'arm'):
        if not all(isinstance(text, str) for text in values[name].values()):
            raise ValueError(f'{name}: expected text for each entry')
    if not all(isinstance(value, int | float | None) for value in values['figures'].values()):
        raise ValueError('figures: expected a number or null for each')
    if not all(isinstance(settings, dict) for settings in values['cameras'].values()):
        raise ValueError('cameras: expected an object for each')


def _typed(kind: type, data: Any) -> dict[str, Any]:
    """Return `data` as keyword arguments for the dataclass `kind`, or raise ValueError."""
    names = {field.name for field in fields(kind)}
    if not isinstance(data, dict):
        raise ValueError(f'expected an object for {kind.__name__}, got {data!r}')
    if odd := names ^ set(data):
        raise ValueError(f'{", ".join(sorted(odd))}: missing or unknown in {kind.__name__}')
    for field in fields(kind):
        expected: Any = _JSON_TYPES.get(get_origin(field.type), field.type)
        if expected is float:
            expected = int | float  # JSON has one kind of number
        if not isinstance(data[field.name], expected):
            raise ValueError(f'{field.name} is {data[field.name]!r}')
    return dict(data)
