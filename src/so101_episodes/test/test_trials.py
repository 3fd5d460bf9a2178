"""An evaluation is balanced at every moment, in an order that chance and a seed make."""

from collections import Counter
from itertools import batched

from hypothesis import given
from hypothesis import strategies as st

from so101_episodes.trials import Trial, trials

CHECKPOINTS = st.integers(1, 5).map(lambda count: list('abcde'[:count]))
PLACES = st.integers(0, 9)
ROLLOUTS = st.integers(1, 25)
SEEDS = st.integers(0, 2**31)


def spread(counts: Counter) -> int:
    return max(counts.values()) - min(counts.values())


@given(CHECKPOINTS, PLACES, ROLLOUTS, SEEDS)
def test_each_block_has_each_checkpoint_once_all_from_one_spot(
    checkpoints: list[str], places: int, rollouts: int, seed: int
) -> None:
    order = trials(checkpoints, places, rollouts, seed)
    assert len(order) == rollouts * len(checkpoints)
    for block in batched(order, len(checkpoints)):
        assert sorted(trial.checkpoint for trial in block) == sorted(checkpoints)
        assert len({(trial.place, trial.spot) for trial in block}) == 1


@given(CHECKPOINTS, st.integers(1, 9), ROLLOUTS, SEEDS)
def test_every_checkpoint_gets_every_place_equally_often_to_within_one(
    checkpoints: list[str], places: int, rollouts: int, seed: int
) -> None:
    order = trials(checkpoints, places, rollouts, seed)
    for checkpoint in checkpoints:
        counts = Counter({number: 0 for number in range(1, places + 1)})
        counts.update(t.place.number for t in order if t.place and t.checkpoint == checkpoint)
        assert spread(counts) <= 1


@given(CHECKPOINTS, PLACES, ROLLOUTS, SEEDS)
def test_an_evaluation_that_is_broken_off_compares_fairly_too(
    checkpoints: list[str], places: int, rollouts: int, seed: int
) -> None:
    counts = Counter(dict.fromkeys(checkpoints, 0))
    for trial in trials(checkpoints, places, rollouts, seed):
        counts[trial.checkpoint] += 1
        assert spread(counts) <= 1


@given(PLACES, ROLLOUTS, SEEDS)
def test_each_checkpoint_sees_the_spots_of_any_other(
    places: int, rollouts: int, seed: int
) -> None:
    order = trials(['a', 'b'], places, rollouts, seed)
    spots = {name: [t.spot for t in order if t.checkpoint == name] for name in 'ab'}
    assert spots['a'] == spots['b']
    if places:
        assert len(set(spots['a'])) == rollouts


@given(CHECKPOINTS, PLACES, ROLLOUTS, SEEDS)
def test_the_same_seed_makes_the_same_order(
    checkpoints: list[str], places: int, rollouts: int, seed: int
) -> None:
    assert trials(checkpoints, places, rollouts, seed) == trials(
        checkpoints, places, rollouts, seed
    )


def test_another_seed_makes_another_order() -> None:
    orders = {tuple(trials(['a', 'b', 'c'], 4, 10, seed)) for seed in range(20)}
    assert len(orders) == 20


def test_no_checkpoint_comes_first_more_often_than_chance_has_it() -> None:
    first = Counter(trials(['a', 'b'], 0, 1, seed)[0].checkpoint for seed in range(200))
    assert 70 <= first['a'] <= 130  # five standard deviations are 35


def test_without_places_nobody_is_told_one() -> None:
    assert trials([''], 0, 2, seed=0) == [Trial(), Trial()]
