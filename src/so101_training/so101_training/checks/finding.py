"""What a check found: in which episode, how bad, in plain words."""

from dataclasses import dataclass

# Leave the episode out; look at it.
BAD, DOUBTFUL = 'bad', 'doubtful'


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `check`: the name of the check. `number`: the episode's, None when it is about all of them.
    `severity`: BAD or DOUBTFUL. `text`: what, how much, what to do. `camera`: the one whose
    pictures it is about, or ''. `seconds`: from when to when in the episode, where it has a place.
    `worst`: the second of the picture to show, None for the middle of `seconds`.
    """

    check: str
    number: int | None
    severity: str
    text: str
    camera: str = ''
    seconds: tuple[float, float] | None = None
    worst: float | None = None


def and_more(count: int) -> str:
    """Return what is said of `count` occurrences after the worst one was described."""
    return f', and {count - 1} times more' if count > 1 else ''


def graver(of: float, limit: float) -> str:
    """Return BAD from `limit` on, DOUBTFUL below."""
    return BAD if of >= limit else DOUBTFUL
