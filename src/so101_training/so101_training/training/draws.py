"""Which sample for which time: what the augmentation of a sample depends on beside the seed."""

from collections.abc import Iterator
from typing import NamedTuple

from lerobot.datasets import EpisodeAwareSampler


class Draw(NamedTuple):
    """A sample, by its row in the dataset, and the epoch that it is drawn in."""

    row: int
    epoch: int


class DrawSampler(EpisodeAwareSampler):
    """LeRobot's sampler, of the same order, resumed the same way, which also says the epoch.

    So augmentation is the same whichever worker makes a sample, and after a resume as without.
    """

    def __iter__(self) -> Iterator[Draw]:  # type: ignore[override]
        epoch = self.state_dict()['epoch']
        return (Draw(row, epoch) for row in super().__iter__())
