"""How long what is left of a pipeline takes, as far as that is known."""

from pathlib import Path

from so101_bringup.pipeline import forecast, parameters
from so101_bringup.pipeline.ledger import Entry
from so101_bringup.pipeline.plan import Planned, State
from so101_bringup.pipeline.step import Step

GIVEN = parameters.assemble(parameters.defaults(), {'out': str(Path('nowhere'))})


def planned(step: Step, have: int, want: int, state: State = State.GO_ON) -> Planned:
    return Planned(step, state, have, want, there=True)


def test_nobody_knows_a_training_that_has_never_run() -> None:
    training = planned(Step.TRAIN, 0, 500)
    assert forecast.left(training, GIVEN, {}) is None
    assert forecast.of_all([training], GIVEN, {}) == 'the training'
    some = [planned(Step.CHECK, 0, 10), training]
    assert forecast.of_all(some, GIVEN, {}).endswith(' s and the training')


def test_what_is_left_takes_as_long_as_what_was_done() -> None:
    pace = forecast.pace(Step.TRAIN, 212.0, 100)
    ledger = {Step.TRAIN: Entry({}, {}, pace=pace)}
    half, all_of_it = (
        forecast.left(planned(Step.TRAIN, have, 100), GIVEN, ledger) for have in (50, 0)
    )
    assert half is not None and all_of_it is not None
    assert all_of_it == 212.0
    assert all_of_it / 2 < half < all_of_it  # it has to start again


def test_nothing_is_left_of_what_is_done() -> None:
    done = [planned(step, 5, 5, State.DONE) for step in Step]
    assert forecast.of_all(done, GIVEN, {}) == 'nothing'


def test_more_takes_longer() -> None:
    for step in (Step.DEMONSTRATE, Step.CHECK, Step.CONVERT, Step.EVALUATE):
        few, many = (forecast.left(planned(step, 0, want), GIVEN, {}) for want in (1, 100))
        assert few is not None and many is not None and 0 < few < many
