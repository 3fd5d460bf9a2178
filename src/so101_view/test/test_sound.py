"""Sound is where it was on the wall clock, whatever the microphone's clock and its losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_view.sound import RATE, Samples, Sound

S = 1_000_000_000
BLOCK = 960  # samples; 20 ms
START = 7 * S


class Source:
    """Ticks, one a second of the wall clock, heard by a microphone whose clock is fast by ppm."""

    def __init__(self, ppm: float = 0.0, block: int = BLOCK) -> None:
        self._block = block
        self._period = S / RATE / (1 + ppm * 1e-6)  # ns
        self._next = 0  # sample

    def block(self) -> tuple[Samples, int]:
        """Return the next samples and when the last is over, ns since the start."""
        samples: Samples = np.zeros(self._block, np.int16)
        end = self._next + self._block
        second = int(np.ceil(self._next * self._period / S))
        if (index := int(np.ceil(second * S / self._period))) < end:
            samples[index - self._next] = 20_000
        self._next = end
        return samples, int(end * self._period)


def ticks(samples: Samples) -> np.ndarray:
    """Return the seconds at which ticks were written."""
    loud = np.flatnonzero(samples > 5_000)
    return loud[np.diff(loud, prepend=-RATE) > RATE // 100] / RATE


def written(sound: Sound, seconds: int) -> Samples:
    """Return all of it, as a film takes it: frame by frame."""
    return np.concatenate([sound.take(START + i * S // 30) for i in range(1, seconds * 30 + 1)])


@pytest.mark.parametrize(
    ('ppm', 'minutes', 'block'),
    [(100, 60, 4800), (-100, 60, 4800), (400, 5, BLOCK), (0, 1, BLOCK)],
)
def test_a_clock_that_drifts_stays_in_step(ppm: float, minutes: int, block: int) -> None:
    sound, source = Sound(START), Source(ppm, block)
    rng = np.random.default_rng(0)
    worst, taken, end = 0.0, 0, 0
    for second in range(1, minutes * 60 + 1):
        while end < second * S:
            samples, end = source.block()
            sound.add(samples, START + end + int(rng.exponential(2e6)))
            assert abs(sound.offset) < 0.03
        given = sound.take(START + second * S - S // 4)
        found = (taken + np.flatnonzero(given > 5_000)) / RATE
        if len(found):
            worst = max(worst, np.abs(found - np.rint(found)).max())
        taken += len(given)
    assert taken == (4 * minutes * 60 - 1) * RATE // 4
    assert worst < 0.02


def test_exactly_the_samples_of_the_time_are_given_also_of_silence() -> None:
    sound = Sound(START)
    given = [len(sound.take(START + i * S // 30)) for i in range(1, 91)]
    assert sum(given) == 3 * RATE
    assert set(given) <= {1599, 1600, 1601}
    assert len(sound.take(START + S)) == 0  # of the past there is no more


@pytest.mark.parametrize('lost', [0.06, 0.4, 3.0, 100.0])
def test_samples_that_were_lost_are_silence_and_those_after_are_in_time(lost: float) -> None:
    sound, source = Sound(START), Source()
    end, pieces, now = 0, [], 0
    while end < 150 * S:
        samples, end = source.block()
        if not 10 * S < end <= (10 + lost) * S:
            sound.add(samples, START + end)
        while now < end - S // 4:
            now += S // 30
            pieces.append(sound.take(START + now))
    found = ticks(np.concatenate(pieces))
    late = found[found > 12.5 + lost]  # a second, and the film's own delay
    assert len(late) >= 30
    assert np.abs(late - np.rint(late)).max() < 0.03


def test_a_burst_after_a_pause_is_put_where_it_belongs() -> None:
    sound, source = Sound(START), Source()
    blocks = [source.block() for _ in range(500)]
    for samples, end in blocks:
        held = 4 * S < end <= 4 * S + S // 5  # 200 ms come at once, none is lost
        sound.add(samples, START + (4 * S + S // 5 if held else end))
    found = ticks(written(sound, 9))
    assert len(found) >= 9
    assert np.abs(found - np.rint(found)).max() < 0.002


def test_a_writer_that_is_held_up_loses_no_sound() -> None:
    sound, source = Sound(START), Source()
    for samples, end in [source.block() for _ in range(50 * 30)]:  # 30 s that nobody takes
        sound.add(samples, START + end)
    assert len(ticks(written(sound, 30))) == 30


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3000), st.integers(0, 2_000_000_000), st.integers(0, 2_000_000_000)
        ),
        max_size=30,
    )
)
def test_whatever_comes_whenever_time_is_kept(steps: list[tuple[int, int, int]]) -> None:
    sound = Sound(START)
    arrived = until = START
    total = 0
    for number, wait, more in steps:
        arrived, until = arrived + wait, until + more
        sound.add(np.ones(number, np.int16), arrived)
        total += len(sound.take(until))
        assert total == (until - START) * RATE // S
