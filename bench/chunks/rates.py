"""Success rates as the benches show them; of so101_evaluation's summaries of trials."""

from collections.abc import Sequence
from typing import Any

TITLE = 'Success, % (95 % interval)'


def text(said: dict[str, Any]) -> str:
    """Return a rate and its interval, per cent."""
    low, high = (100 * said['rate_interval'][end] for end in ('low', 'high'))
    return f'{100 * said["rate"]:.0f} ({low:.0f} to {high:.0f})'


def percent(row: Sequence[dict[str, Any]]) -> tuple[list[float], list[list[float]]]:
    """Return rates, and how far their intervals go below and above, per cent, as plots take it."""
    bars = [
        [100 * abs(said['rate_interval'][end] - said['rate']) for said in row]
        for end in ('low', 'high')
    ]
    return [100 * said['rate'] for said in row], bars
