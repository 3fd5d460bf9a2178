"""What the trials of a setting say together, and how tables show it; pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from so101_evaluation.lockstep_trials import Trial
from so101_evaluation.statistics import Tally


def summary(done: Sequence[Trial]) -> dict[str, Any]:
    """Return what trials say together; the interval is Wilson's, jump and jerk are means."""
    tally = Tally.of('success' if trial.success else 'failure' for trial in done)
    assert tally.interval is not None
    durations = [trial.seconds for trial in done if trial.success]
    jumps = [trial.jump for trial in done if trial.jump is not None]
    return {
        'rollouts': tally.labelled,
        'successes': tally.successes,
        'rate': tally.rate,
        'rate_interval': asdict(tally.interval),
        'success_seconds': float(np.mean(durations)) if durations else None,
        'jump': float(np.mean(jumps)) if jumps else None,
        'jerk': float(np.sqrt(np.mean([trial.jerk**2 for trial in done]))),
        'held': sum(bool(trial.held) for trial in done),
    }


def shown(value: float | None) -> str:
    """Return a value as tables show it."""
    return '-' if value is None else f'{value:.2f}'
