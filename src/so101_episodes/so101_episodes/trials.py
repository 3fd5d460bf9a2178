"""The order of an evaluation: which checkpoint from which place, such that it compares fairly."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from so101_episodes.places import Place, grid


@dataclass(frozen=True)
class Trial:
    """An episode to be made. `checkpoint` '': the one that the policy has.

    `place` None: wherever the object is put. `spot`: where in the place, if a simulation puts it:
    x, y, metres.
    """

    checkpoint: str = ''
    place: Place | None = None
    spot: tuple[float, float] | None = None


def trials(checkpoints: Sequence[str], places: int, rollouts: int, seed: int) -> list[Trial]:
    """Return `rollouts` trials of each checkpoint, from `places` places (0: no matter where).

    They come in blocks: each block has each checkpoint once, in a random order, all from the same
    spot. So what changes during the day changes for all, and they can be compared in pairs. Each
    place comes equally often, to within one.
    """
    chance = random.Random(seed)
    order: list[Trial] = []
    waiting: list[Place] = []
    for _ in range(rollouts):
        place = spot = None
        if places:
            if not waiting:
                waiting = _shuffled(grid(places), chance)
            place = waiting.pop()
            spot = place.spot(chance.random(), chance.random())
        block = [Trial(checkpoint, place, spot) for checkpoint in checkpoints]
        order += _shuffled(block, chance)
    return order


def _shuffled[T](items: Sequence[T], chance: random.Random) -> list[T]:
    return chance.sample(items, len(items))
