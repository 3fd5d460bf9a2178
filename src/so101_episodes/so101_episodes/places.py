"""Where the object lies when an episode begins: places that share the square of the workspace."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE


@dataclass(frozen=True)
class Place:
    """One of `count` rectangles, counted from 1; metres in the arm's base frame.

    Its name is as seen from behind the arm: far is +x, left is +y.
    """

    number: int
    count: int
    name: str
    centre: tuple[float, float]
    size: tuple[float, float]

    def __str__(self) -> str:
        return f'{self.number} of {self.count} ({self.name})'

    def spot(self, forward: float, left: float) -> tuple[float, float]:
        """Return x, y inside: both parts from 0 (the near right corner) to 1 (the far left)."""
        (x, y), (depth, width) = self.centre, self.size
        return x + (forward - 0.5) * depth, y + (left - 0.5) * width


def grid(count: int) -> tuple[Place, ...]:
    """Divide the square into `count` places, as square as can be, the far left one first.

    They cover it: where the last row has fewer, they are wider.
    """
    if count < 1:
        raise ValueError(f'{count} places')
    rows = round(math.sqrt(count))
    # The rows have one more, or not: 5 are 3 and 2.
    lengths = [count // rows + (row < count % rows) for row in range(rows)]
    depth = SQUARE_SIZE / rows
    places: list[Place] = []
    for row, length in enumerate(lengths):
        width = SQUARE_SIZE / length
        for column in range(length):
            places.append(
                Place(
                    number=len(places) + 1,
                    count=count,
                    name=_name(row, lengths, column),
                    centre=(
                        SQUARE_CENTRE[0] + SQUARE_SIZE / 2 - (row + 0.5) * depth,
                        SQUARE_CENTRE[1] + SQUARE_SIZE / 2 - (column + 0.5) * width,
                    ),
                    size=(depth, width),
                )
            )
    return tuple(places)


def _name(row: int, lengths: Sequence[int], column: int) -> str:
    if max(len(lengths), *lengths) > len(_FORWARD):
        return f'row {row + 1} from the far side, {column + 1} from the left'
    forward = _FORWARD[len(lengths)][row]
    sideways = _SIDEWAYS[lengths[row]][column]
    return ' '.join(filter(None, (forward, sideways))) or 'middle'


# By how many there are. One alone, or in the middle, needs no name beside that of the other way.
_FORWARD = {1: ('',), 2: ('far', 'near'), 3: ('far', '', 'near')}
_SIDEWAYS = {1: ('',), 2: ('left', 'right'), 3: ('left', '', 'right')}
