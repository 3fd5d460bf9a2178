"""Which steps are due, and why: out of the parameters and of what is on the disk; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from so101_bringup.pipeline.ledger import Entry, as_in_json
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.remains import Recorded, Remains, identity
from so101_bringup.pipeline.selection import SUCCESS, Selection, select
from so101_bringup.pipeline.step import NEEDS, Step, settings, steps
from so101_episodes import demonstrations
from so101_node.error import UserError


class State(StrEnum):
    """What is to be done about a step.

    AGAIN: what is there goes out of the way first, for it is of something else, or cannot be gone
    on with. FOLLOWS: a step that it needs is due, so what it will be made of is not known yet.
    """

    DONE = 'done'
    BEGIN = 'begin'
    GO_ON = 'go on'
    AGAIN = 'again'
    FOLLOWS = 'follows'


@dataclass(frozen=True)
class Planned:
    """A step, of which `have` of `want` is there, in its unit.

    `there`: whether anything is there. `why`: of AGAIN. `settings`, `inputs`: what it is to be
    made of, as in the ledger; `excluded`: as step.command takes it. These three are not known of
    one that FOLLOWS.
    """

    step: Step
    state: State
    have: int
    want: int
    there: bool
    why: str = ''
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    excluded: Sequence[int] = ()

    @property
    def done(self) -> bool:
        return self.state is State.DONE

    @property
    def left(self) -> int:
        return max(self.want - self.have, 0)


def plan(parameters: Parameters, remains: Remains) -> list[Planned]:
    """Return every step with its state. Raises UserError when it cannot go on.

    That is when something that no pipeline made is where one of the steps writes, and when no
    demonstration is fit to be trained on.
    """
    planned: dict[Step, Planned] = {}
    for step in steps(parameters):
        if all(planned[other].done for other in NEEDS[step] if other in planned):
            planned[step] = _planned(step, parameters, remains)
        else:
            want, there = _want(step, parameters), step in remains.there
            planned[step] = Planned(step, State.FOLLOWS, 0, want, there)
    return list(planned.values())


def _planned(step: Step, parameters: Parameters, remains: Remains) -> Planned:
    """Return the plan of a step whose needs are done."""
    selection = Selection()
    if step is Step.CONVERT:
        selection = select(remains.recorded, remains.judged or (), parameters.demonstrations)
        if not selection.kept:
            raise UserError(_nothing_kept(selection, parameters))
    found = Planned(
        step,
        State.BEGIN,
        have=0,
        want=_want(step, parameters),
        there=step in remains.there,
        settings=as_in_json(settings(step, parameters)),
        inputs=_inputs(step, remains, selection),
        excluded=selection.excluded,
    )
    if not found.there:
        return found
    if (entry := remains.noted.get(step)) is None:
        raise UserError(
            f'{parameters.out} holds something where the step {step} writes, and no pipeline made '
            'it; move it away, or give another out='
        )
    if why := difference(entry, found):
        return replace(found, state=State.AGAIN, why=why)
    return _of_same(found, remains, selection)


def _of_same(found: Planned, remains: Remains, selection: Selection) -> Planned:
    """Return the plan of a step of which something is there, made of what it is to be made of."""
    trained, converted, judged = remains.trained, remains.converted, remains.judged
    match found.step:
        case Step.DEMONSTRATE:
            have = sum(map(demonstrations.counts, remains.recorded))
            return _so_far(found, have)
        case Step.CHECK:
            names = {one.name for one in remains.recorded}
            if judged is not None and names <= {one.name for one in judged}:
                return replace(found, state=State.DONE, have=found.want)
            return replace(found, state=State.AGAIN, why='it does not tell of each demonstration')
        case Step.CONVERT:
            if converted and set(converted.episodes) <= {one.name for one in selection.kept}:
                return replace(found, state=State.DONE, have=found.want)
            return replace(found, state=State.AGAIN, why='it has other demonstrations')
        case Step.POLICY:
            if remains.policy is not None:
                return _so_far(found, found.want)
            return replace(found, state=State.AGAIN, why='it is no checkpoint')
        case Step.TRAIN:
            if trained is None:
                return replace(found, state=State.AGAIN, why='it has no checkpoint yet')
            return _so_far(replace(found, want=trained.total), trained.step)
        case Step.EVALUATE:
            names = {one.name for one in remains.rollouts if _came_to_an_end(one)}
            planned = _so_far(found, len(names))
            if planned.done and not names <= remains.reported:
                return replace(planned, state=State.GO_ON)
            return planned


def _so_far(found: Planned, have: int) -> Planned:
    return replace(found, have=have, state=State.DONE if have >= found.want else State.GO_ON)


def _came_to_an_end(one: Recorded) -> bool:
    """Return whether it is a rollout that the simulation judged."""
    judged = one.outcome in (SUCCESS, 'failure')
    return one.kind == 'rollout' and judged and not one.salvaged


def difference(entry: Entry, wanted: Planned) -> str:
    """Return in what a step that was begun differs from what is wanted, '' in nothing."""
    texts = [
        f'{name} is {_said(now)}, was {_said(before)}'
        for name in {**entry.settings, **wanted.settings}
        if (now := wanted.settings.get(name)) != (before := entry.settings.get(name))
    ]
    inputs = {**entry.inputs, **wanted.inputs}
    others = [name for name in inputs if entry.inputs.get(name) != wanted.inputs.get(name)]
    return '; '.join([*texts, *(f'the {name} changed' for name in others)])


def _said(value: Any) -> str:
    return 'the default' if value is None else str(value)


def _inputs(step: Step, remains: Remains, selection: Selection) -> dict[str, Any]:
    """Return what a step is made of: name -> a text that changes with it."""
    match step:
        case Step.CHECK:
            return {'demonstrations': _of(remains.recorded)}
        case Step.CONVERT:
            return {'choice of demonstrations': _of(selection.kept)}
        case Step.TRAIN:
            assert remains.converted is not None
            return {'dataset': remains.converted.identity, 'starting policy': remains.policy}
        case Step.EVALUATE:
            assert remains.trained is not None
            return {'trained policy': remains.trained.identity}
        case _:
            return {}


def _of(recorded: Sequence[Recorded]) -> str:
    return identity([[one.name, one.started, one.outcome, one.salvaged] for one in recorded])


def _want(step: Step, parameters: Parameters) -> int:
    """Return how much of a step there is to be, in its unit."""
    match step:
        case Step.POLICY:
            return 1
        case Step.TRAIN:
            return int(parameters.training['steps'])
        case Step.EVALUATE:
            return parameters.rollouts
        case _:
            return parameters.demonstrations


def _nothing_kept(selection: Selection, parameters: Parameters) -> str:
    reasons = '; '.join(sorted(set(selection.left_out.values()))) or 'there is none'
    return (
        f'none of the demonstrations is fit to be trained on: {reasons}. See {parameters.out}/'
        'check.html; with a longer episode_time or another demonstration_seed they are made anew'
    )
