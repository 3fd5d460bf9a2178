"""Which demonstrations are trained on, and why the others are not; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from so101_bringup.pipeline.remains import Judged, Recorded
from so101_episodes import demonstrations
from so101_training.checks.finding import BAD

SUCCESS = 'success'


@dataclass(frozen=True)
class Selection:
    """`kept`: in their order. `left_out`: name -> why.

    `excluded`: the numbers, as the check and the conversion count, of those left out for another
    reason than their outcome.
    """

    kept: tuple[Recorded, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[int, ...] = ()


def select(recorded: Sequence[Recorded], judged: Sequence[Judged], wanted: int) -> Selection:
    """Choose among the first `wanted` demonstrations the successes that have nothing bad."""
    verdicts = {one.name: one for one in judged}
    kept: list[Recorded] = []
    left_out: dict[str, str] = {}
    excluded: list[int] = []
    seen = 0
    for one in recorded:
        counts = demonstrations.counts(one)
        seen += counts
        verdict = verdicts.get(one.name)
        if one.damage:
            why = one.damage
        elif not counts:
            why = 'its recorder was killed'
        elif seen > wanted:
            why = f'more than the {wanted} that are asked for'
        elif one.outcome != SUCCESS:
            left_out[one.name] = f'{one.outcome}{f": {one.reason}" if one.reason else ""}'
            continue
        elif verdict is None or verdict.verdict == BAD:
            why = verdict.text if verdict else 'it was not checked'
        else:
            kept.append(one)
            continue
        left_out[one.name] = why
        if verdict is not None:
            excluded.append(verdict.number)
    return Selection(tuple(kept), left_out, tuple(excluded))
