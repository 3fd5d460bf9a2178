import signal

import pytest

from so101_training.training.interruption import Interrupted, Interruption, held_back


def test_a_signal_before_the_first_step_ends_at_once() -> None:
    with pytest.raises(Interrupted) as raised, Interruption(lambda: None):
        signal.raise_signal(signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM


def test_a_signal_in_a_step_lets_it_end_and_the_second_does_not() -> None:
    said: list[str] = []
    with Interruption(lambda: said.append('stopping')) as interruption:
        interruption.wait = True
        signal.raise_signal(signal.SIGINT)
        assert (interruption.asked, said) == (signal.SIGINT, ['stopping'])
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert said == ['stopping']


def test_afterwards_signals_mean_what_they_meant() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption(lambda: None):
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ctrl_c_is_held_back_not_lost() -> None:
    done = []

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(Interrupted), Interruption(lambda: None):
        held_back(work)
    assert done == [True]
