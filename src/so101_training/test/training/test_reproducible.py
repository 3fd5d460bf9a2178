import itertools
import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as some
from lerobot.datasets.sampler import EpisodeAwareSampler, compute_sampler_state

from so101_training.training.batches import EPOCH
from so101_training.training.reproducible import NamedOrder, seed_of, seed_step

LENGTHS = [7, 1, 5]
FRAMES = sum(LENGTHS)
ENDS = list(itertools.accumulate(LENGTHS))
STARTS = [0, *ENDS[:-1]]


def order(multiple: int = 1) -> NamedOrder:
    return NamedOrder(STARTS, ENDS, shuffle=True, seed=3, multiple=multiple)


def batches(sampler: NamedOrder, size: int, epochs: int) -> list[list[int]]:
    """As torch's BatchSampler makes them, accelerate announcing each epoch from 0 on."""
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found += [list(batch) for batch in itertools.batched(sampler, size)]
    return found


def test_the_order_is_lerobots_with_the_epoch_in_the_name() -> None:
    stock = EpisodeAwareSampler(STARTS, ENDS, shuffle=True, seed=3)
    ours = order()
    for epoch in range(3):
        names = list(ours)
        assert [name % EPOCH for name in names] == list(stock)
        assert {name // EPOCH for name in names} == {epoch}


@given(size=some.integers(1, 20), step=some.integers(0, 20), processes=some.integers(1, 3))
def test_an_order_gone_on_with_gives_what_would_have_come(
    size: int, step: int, processes: int
) -> None:
    multiple = size * processes if processes > 1 else 1
    whole = batches(order(multiple), size, 30)
    resumed = order(multiple)
    resumed.load_state_dict(compute_sampler_state(step, len(resumed), size, processes))
    rest = batches(resumed, size, 2)
    assert rest == whole[step * processes :][: len(rest)]


def test_several_processes_get_whole_batches_of_the_same_epoch() -> None:
    filled = list(order(multiple=10))
    assert len(filled) == len(order(multiple=10)) == 20
    assert filled[FRAMES:] == filled[: 20 - FRAMES]


def test_a_step_depends_on_seed_step_and_process() -> None:
    def drawn(*numbers: int) -> tuple[float, float, float]:
        seed_step(*numbers)
        return (torch.rand(1).item(), np.random.rand(), random.random())

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert len({drawn(*numbers) for numbers in itertools.product((1, 2), repeat=3)}) == 8


def test_seeds_differ_in_every_number() -> None:
    assert len({seed_of(*numbers) for numbers in itertools.product(range(5), repeat=3)}) == 125
