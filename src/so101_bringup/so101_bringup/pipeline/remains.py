"""What the steps of a pipeline have left, as it was found on the disk; pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from so101_bringup.pipeline.ledger import Entry
from so101_bringup.pipeline.step import Step


@dataclass(frozen=True)
class Recorded:
    """An episode. `damage`: why it cannot be read, '' when it can; then the others are known."""

    name: str
    damage: str = ''
    kind: str = ''
    outcome: str = ''
    reason: str = ''
    started: int = 0
    salvaged: bool = False


@dataclass(frozen=True)
class Judged:
    """What the check says of an episode; `text` is the worst, '' of a good one."""

    number: int
    name: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Converted:
    """A dataset: the names of its episodes, its frames, and name -> why of those left out."""

    identity: str
    episodes: tuple[str, ...]
    frames: int
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Trained:
    """The last checkpoint of a training, after `step` of `total` steps."""

    step: int
    total: int
    identity: str


@dataclass(frozen=True)
class Remains:
    """None, or nothing, of what is not there.

    `there`: the steps of which anything is there, be it in part. `policy`: the identity of the one
    that the training starts from. `reported`: names of rollouts in the report on them.
    """

    there: frozenset[Step] = frozenset()
    noted: Mapping[Step, Entry] = field(default_factory=dict)
    recorded: tuple[Recorded, ...] = ()
    judged: tuple[Judged, ...] | None = None
    converted: Converted | None = None
    policy: str | None = None
    trained: Trained | None = None
    rollouts: tuple[Recorded, ...] = ()
    reported: frozenset[str] = frozenset()


def identity(content: Any) -> str:
    """Return a text that is another one for other content: anything that JSON has."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
