"""A training that a resumed run repeats bit by bit: every random number has its own seed.

LeRobot restores the state of the random generators, but what is drawn from them after a resume is
not what would have been: the loader draws when it starts, looks one batch ahead, and its workers
have generators of their own. Here nothing is restored. What is drawn for a sample depends on the
seed, the epoch and the sample; what is drawn in a step, on the seed, the step and the process.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lerobot.datasets import EpisodeAwareSampler

from so101_training.training.batches import EPOCH


class NamedOrder(EpisodeAwareSampler):
    """LeRobot's order of samples, each named by epoch and index.

    `multiple`: every epoch is filled up with its own beginning to so many samples. accelerate does
    the same for several processes, but with the beginning of what it has seen since a resume.
    """

    def __init__(self, *arguments: Any, multiple: int = 1, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._multiple = multiple

    def __len__(self) -> int:
        return -(-super().__len__() // self._multiple) * self._multiple

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: accelerate counts epochs from the resume on, this order from the start."""

    def __iter__(self) -> Iterator[int]:
        state = self.state_dict()
        epoch, start = state['epoch'], state['start_index']
        self.load_state_dict({'epoch': epoch, 'start_index': 0})
        frames = list(super().__iter__())  # which goes on to the next epoch
        size = len(self)
        filled = [frames[i % len(frames)] for i in range(start, size)]
        return iter([epoch * EPOCH + frame for frame in filled])


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed everything that an update draws from: the noise of flow matching, dropout ..."""
    # One more number than a sample has, so that no step shares its seed with a sample.
    of_step = seed_of(seed, step, process, 1)
    _seed_all(of_step)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(of_step)


def seed_of(*numbers: int) -> int:
    """Return 64 bits that depend on all the numbers, none of them negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _seed_all(seed: int) -> None:
    # Not torch.manual_seed: it notes a call for CUDA each time, also in workers, which have none.
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
