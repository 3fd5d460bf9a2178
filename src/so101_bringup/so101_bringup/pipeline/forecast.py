"""How long what is left takes, as far as that is known; pure."""

from collections.abc import Mapping, Sequence

from so101_bringup.pipeline.ledger import Ledger
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.plan import Planned
from so101_bringup.pipeline.step import Step
from so101_training.training.history import duration

# Seconds until a step's command is at work, as measured on two cores.
_STARTS: Mapping[Step, float] = {
    Step.DEMONSTRATE: 12.0,
    Step.CHECK: 3.0,
    Step.CONVERT: 8.0,
    Step.POLICY: 7.0,
    Step.TRAIN: 12.0,
    Step.EVALUATE: 20.0,
}
# Seconds for one more, until they were measured here; of a training nobody knows them. A
# demonstration takes its hand 6 to 8 seconds, a rollout that fails all of its time.
_DEMONSTRATED, _CHECKED, _CONVERTED, _MADE, _HOME = 10.0, 1.0, 1.5, 0.0, 8.0


def pace(step: Step, seconds: float, number: int) -> float:
    """Return the seconds for one, of a step that made so many of them."""
    return max(seconds - _STARTS[step], 0.0) / max(number, 1)


def left(planned: Planned, parameters: Parameters, ledger: Ledger) -> float | None:
    """Return the seconds that a step still takes, None when there is no saying."""
    if planned.done:
        return 0.0
    entry = ledger.get(planned.step)
    each = entry.pace if entry else None
    if each is None:
        each = _usual(planned.step, parameters)
    return None if each is None else _STARTS[planned.step] + each * planned.left


def of_all(steps: Sequence[Planned], parameters: Parameters, ledger: Ledger) -> str:
    """Return in words what is left of these steps: 'about 12 min 0 s and the training'."""
    found = [left(one, parameters, ledger) for one in steps if not one.done]
    known = [seconds for seconds in found if seconds is not None]
    parts = [f'about {duration(sum(known))}'] if known else []
    parts += ['the training'] if None in found else []
    return ' and '.join(parts) or 'nothing'


def _usual(step: Step, parameters: Parameters) -> float | None:
    return {
        Step.DEMONSTRATE: min(_DEMONSTRATED, parameters.episode_time),
        Step.CHECK: _CHECKED,
        Step.CONVERT: _CONVERTED,
        Step.POLICY: _MADE,
        Step.TRAIN: None,
        Step.EVALUATE: parameters.episode_time + _HOME,
    }[step]
