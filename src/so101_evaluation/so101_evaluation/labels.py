"""Short names of checkpoints, and the order in which a person expects names; pure."""

import re
from collections.abc import Iterable
from pathlib import PurePath

NOT_SAID = 'not said'


def labels(checkpoints: Iterable[str]) -> dict[str, str]:
    """Return a short name for each: the end of its path, as long as it takes to tell them apart.

    LeRobot's folder pretrained_model, which every checkpoint has, is left out. An empty text is
    NOT_SAID. The names are in natural order.
    """
    parts = {text: tail(text) for text in checkpoints}
    for length in range(1, max((len(p) for p in parts.values()), default=0) + 1):
        names = {text: '/'.join(p[-length:]) or NOT_SAID for text, p in parts.items()}
        if len(set(names.values())) == len(names):
            break
    else:
        names = {text: text or NOT_SAID for text in parts}
    return dict(sorted(names.items(), key=lambda item: natural(item[1])))


def tail(checkpoint: str) -> tuple[str, ...]:
    """Return the parts of a checkpoint's path without LeRobot's pretrained_model at its end."""
    parts = PurePath(checkpoint).parts
    return parts[:-1] if parts[-1:] == ('pretrained_model',) else parts


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key to sort by: numbers in a text count as numbers, so 9 comes before 10."""
    pieces = re.split(r'(\d{1,9})', text)
    return [(int(piece), '') if piece.isdecimal() else (-1, piece) for piece in pieces]
