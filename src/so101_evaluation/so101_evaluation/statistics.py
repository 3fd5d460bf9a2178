"""Success rates, and what so many rollouts can tell about them; pure.

The formulas are short, and the tests hold them against scipy.stats: to import that takes a second,
for which every so101 command would wait.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95  # of every interval

# Of a comparison that is planned: in four of five it shows the difference that is there.
POWER = 0.8

_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)  # 1.96
_Z_POWER = NormalDist().inv_cdf(POWER)


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Tally:
    """How often something was tried, and how it ended. An unlabelled one is no failure."""

    successes: int
    failures: int
    unlabelled: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[str]) -> 'Tally':
        """Count episode outcomes: 'success', 'failure', 'unlabelled'."""
        listed = list(outcomes)
        return cls(*(listed.count(name) for name in ('success', 'failure', 'unlabelled')))

    @property
    def labelled(self) -> int:
        return self.successes + self.failures

    @property
    def total(self) -> int:
        return self.labelled + self.unlabelled

    @property
    def rate(self) -> float | None:
        """Successes of the labelled ones, 0 to 1; None when none is labelled."""
        return self.successes / self.labelled if self.labelled else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, of the rate; None when none is labelled."""
        return wilson(self.successes, self.labelled) if self.labelled else None

    @property
    def possible(self) -> Interval | None:
        """The rates there would be if every unlabelled one were a failure, or a success."""
        if not self.total:
            return None
        most = self.successes + self.unlabelled
        return Interval(self.successes / self.total, most / self.total)


@dataclass(frozen=True)
class Difference:
    """Of two rates, second minus first, -1 to 1, with its interval."""

    value: float
    interval: Interval

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return self.interval.low > 0 or self.interval.high < 0


def wilson(successes: int, trials: int) -> Interval:
    """Return Wilson's score interval of a rate; at least one trial.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22
    (1927), 209-212.
    """
    rate, z2 = successes / trials, _Z**2 / trials
    middle = rate + z2 / 2
    half = math.sqrt(z2 * (rate * (1 - rate) + z2 / 4))
    low, high = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    # At the ends of the scale rounding must not leave the rate out.
    return Interval(low if successes else 0.0, high if successes < trials else 1.0)


def difference(first: Tally, second: Tally) -> Difference | None:
    """Return the difference of two rates, None when one has no labelled trial.

    The interval is Newcombe's hybrid score one, made of both Wilson intervals: method 10 of R. G.
    Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998), 873-890.
    """
    p, q, of_p, of_q = second.rate, first.rate, second.interval, first.interval
    if p is None or q is None or of_p is None or of_q is None:
        return None
    below = math.hypot(p - of_p.low, of_q.high - q)
    above = math.hypot(of_p.high - p, q - of_q.low)
    return Difference(p - q, Interval(max(p - q - below, -1.0), min(p - q + above, 1.0)))


def same_places_p(pairs: Sequence[tuple[Tally, Tally]]) -> float | None:
    """Return how probable a difference at least this unlikely is if there is none: exact, p.

    A pair holds the first's and the second's tally at one place. A place's rollouts are taken as
    alike but for who did them, so places of unlike difficulty disturb nothing. With one rollout of
    each at every place this is McNemar's exact test, with a single place Fisher's. None when no
    place could show a difference.

    The conditional test of C. R. Mehta, N. R. Patel, R. Gray, Computing an exact confidence
    interval for the common odds ratio in several 2x2 contingency tables, JASA 80 (1985), 969-973.
    """
    chances: NDArray[np.floating] = np.ones(1)  # chances[i]: of `least + i` successes
    least = observed = 0
    for first, second in pairs:
        successes = first.successes + second.successes
        low, high = max(0, successes - first.labelled), min(successes, second.labelled)
        of_place = [
            _chance(first.labelled, second.labelled, successes, number)
            for number in range(low, high + 1)
        ]
        chances = np.convolve(chances, of_place)
        least += low
        observed += second.successes
    if len(chances) == 1:
        return None
    # As unlikely as the observed one; rounding must not part two that are equal.
    as_unlikely = chances <= chances[observed - least] * (1 + 1e-7)
    return min(float(chances[as_unlikely].sum()), 1.0)


def rollouts_to_show(gap: float, rate: float) -> int:
    """Return how many rollouts of each would show a difference of `gap` around `rate`, 0 to 1.

    That is: for which the interval leaves out 0, at CONFIDENCE, as often as POWER says. The normal
    approximation: J. L. Fleiss, B. Levin, M. C. Paik, Statistical Methods for Rates and
    Proportions, 3rd ed. (2003), chapter 4.
    """
    if not 0 < gap <= 1:
        raise ValueError(f'a gap of {gap}: expected more than 0, at most 1')
    low = min(max(rate - gap / 2, 0.0), 1.0 - gap)
    high = low + gap
    middle = (low + high) / 2
    at_none = _Z * math.sqrt(2 * middle * (1 - middle))
    at_gap = _Z_POWER * math.sqrt(low * (1 - low) + high * (1 - high))
    return math.ceil((at_none + at_gap) ** 2 / gap**2)


def _chance(first: int, second: int, successes: int, number: int) -> float:
    """Return how probable it is that `number` of the successes are among the `second` trials."""
    ways = math.comb(second, number) * math.comb(first, successes - number)
    return ways / math.comb(first + second, successes)
