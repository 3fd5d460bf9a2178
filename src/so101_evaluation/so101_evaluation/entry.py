"""One episode of a report; pure."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_origin

from so101_episodes.episode import OUTCOMES, Episode

_JSON_TYPES: Mapping[Any, type] = {Mapping: dict, Sequence: list, tuple: list}


@dataclass(frozen=True)
class Trouble:
    """A mark of an episode; `start_s`, `end_s`: seconds of the episode."""

    source: str
    kind: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Entry:
    """One episode of a report.

    `folder` and `video`: paths from the report's folder, `video` '' when there is none; `video_s`:
    seconds of the video at which the episode begins. `started`: nanoseconds of system time.
    `lost`: messages by topic, of those that lost some. `figures`: as in episode.json. `damage`:
    why its bag cannot be read, '' when it can.
    """

    name: str
    folder: str
    video: str
    video_s: float
    checkpoint: str
    place: str
    task: str
    outcome: str
    reason: str
    started: int
    duration_s: float
    salvaged: bool
    lost: Mapping[str, int]
    marks: Sequence[Trouble]
    figures: Mapping[str, float | None]
    damage: str

    @classmethod
    def of(
        cls,
        episode: Episode,
        name: str,
        folder: str,
        video: str = '',
        video_s: float = 0.0,
        damage: str = '',
    ) -> 'Entry':
        return cls(
            name=name,
            folder=folder,
            video=video,
            video_s=video_s,
            checkpoint=episode.checkpoint,
            place=episode.place,
            task=episode.task,
            outcome=episode.outcome,
            reason=episode.reason,
            started=episode.started,
            duration_s=episode.duration_s,
            salvaged=episode.salvaged,
            lost={topic: count.lost for topic, count in episode.topics.items() if count.lost},
            marks=tuple(
                Trouble(
                    source=mark.source,
                    kind=mark.kind,
                    start_s=(mark.start - episode.started) * 1e-9,
                    end_s=(mark.end - episode.started) * 1e-9,
                    text=mark.text,
                )
                for mark in episode.marks
            ),
            figures={
                name: value if value is not None and math.isfinite(value) else None
                for name, value in episode.figures.items()
            },
            damage=damage,
        )

    @property
    def warnings(self) -> list[str]:
        """What may make this episode worth less, a line each."""
        return [
            *(['its recorder was killed; it was salvaged'] if self.salvaged else []),
            *([self.damage] if self.damage else []),
            *(f'{count} messages of {topic} were lost' for topic, count in self.lost.items()),
            *(
                f'{mark.start_s:.1f} to {mark.end_s:.1f} s: {mark.text or mark.source}'
                for mark in self.marks
            ),
        ]

    @classmethod
    def from_json(cls, data: Any) -> 'Entry':
        """Return what asdict made an object of; raises ValueError for anything else."""
        values = typed(cls, data)
        if values['outcome'] not in OUTCOMES:
            raise ValueError(f'outcome is {values["outcome"]!r}, not in {OUTCOMES}')
        if not all(isinstance(count, int) for count in values['lost'].values()):
            raise ValueError('lost: expected a number for each topic')
        if not all(value is None or _finite(value) for value in values['figures'].values()):
            raise ValueError('figures: expected a number or null for each')
        values['marks'] = tuple(Trouble(**typed(Trouble, mark)) for mark in values['marks'])
        return cls(**values)


def typed(kind: type, data: Any) -> dict[str, Any]:
    """Return the fields of the dataclass `kind` from `data`, or raise ValueError."""
    if not isinstance(data, dict):
        raise ValueError(f'expected an object for {kind.__name__}, got {data!r}')
    values = {}
    for field in fields(kind):
        expected: Any = get_origin(field.type) or field.type
        expected = _JSON_TYPES.get(expected, expected)
        value: Any = data.get(field.name)
        if expected is float and _finite(value):
            value = float(value)
        if not isinstance(value, expected) or (expected is float and not _finite(value)):
            raise ValueError(f'{field.name} of {kind.__name__} is {value!r}')
        values[field.name] = value
    return values


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
