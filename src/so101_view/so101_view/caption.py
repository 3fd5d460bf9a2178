"""What is written over the picture: which episode this is, how it goes, and what is wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from so101_episodes.episode import Episode

SESSION = 'session/progress'  # statuses on /diagnostics
RECORDER = 'recorder/episode'

# Both are published each second; what is older says nothing of now.
_MAX_AGE = 3_000_000_000  # ns


@dataclass(frozen=True)
class Caption:
    """`outcome` is one of success, failure, unlabelled, or empty; `warnings` a line each."""

    parts: tuple[str, ...] = ()
    outcome: str = ''
    reason: str = ''
    warnings: tuple[str, ...] = ()


class LiveCaption:
    """The caption of what is going on, from the statuses of the session and of the recorder."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int, Mapping[str, str]]] = {}

    def hear(self, name: str, message: str, values: Mapping[str, str], now: int) -> None:
        """Take one status that came at `now` (ns); others than these two are ignored."""
        if name == RECORDER and values.get('mark', '') not in message:
            values = {**values, 'mark': ''}  # it is over
        if name in (SESSION, RECORDER):
            self._heard[name] = now, values

    def at(self, now: int) -> Caption:
        session, recorder = (self._values(name, now) for name in (SESSION, RECORDER))
        mark = recorder.get('mark', '')
        warnings = (mark,) if mark else ()
        if session:
            return _of_session(session, warnings)
        if recorder.get('state') == 'recording':
            return Caption((Path(recorder.get('path', '')).name,), warnings=warnings)
        return Caption(warnings=warnings)

    def _values(self, name: str, now: int) -> Mapping[str, str]:
        heard, values = self._heard.get(name, (now, {}))
        return values if now - heard <= _MAX_AGE else {}


def of_episode(episode: Episode, name: str, now: int) -> Caption:
    """Return the caption of a recorded episode's moment, `now` in ns of system time."""
    elapsed = min(max(0.0, (now - episode.started) * 1e-9), episode.duration_s)
    return Caption(
        _parts(
            f'{episode.kind or "episode"} {name}',
            episode.task,
            f'{int(elapsed)} of {episode.duration_s:.1f} s',
        ),
        episode.outcome,
        episode.reason,
        tuple(mark.text for mark in episode.marks if mark.start <= now <= mark.end),
    )


def _of_session(values: Mapping[str, str], warnings: tuple[str, ...]) -> Caption:
    number, total = values.get('number', ''), values.get('total', '')
    kind = values.get('kind') or 'episode'
    state = values.get('state', '')
    return Caption(
        _parts(
            f'{kind} {number} of {total}' if number and total else kind,
            values.get('task', ''),
            _seconds(values.get('seconds', ''), state) if state in ('running', 'label') else state,
        ),
        values.get('outcome', ''),
        values.get('reason', ''),
        warnings,
    )


def _seconds(text: str, state: str) -> str:
    """Return '12 s' while it runs, '12.4 s' when it has ended."""
    try:
        seconds = float(text)
    except ValueError:
        return ''
    if not math.isfinite(seconds):
        return ''
    return f'{int(seconds)} s' if state == 'running' else f'{seconds:.1f} s'


def _parts(*parts: str) -> tuple[str, ...]:
    return tuple(part for part in parts if part)
