"""What the nodes say of themselves on /diagnostics: the latest of each, the worst first.

Messages are duck-typed, so this module needs no ROS.
"""

from typing import Any, NamedTuple

# ns. Every node says something each second.
SILENCE = 3_000_000_000

OK, WARN, ERROR, SILENT = range(4)  # as in diagnostic_msgs/DiagnosticStatus, where 3 is STALE

_WORST_FIRST = (ERROR, SILENT, WARN, OK)


class _Heard(NamedTuple):
    time: int
    level: int
    message: str
    values: dict[str, str]


class Health:
    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def add(self, statuses: Any, now: int) -> None:
        """Take the statuses of a DiagnosticArray that came at `now`, ns."""
        for status in statuses:
            values = {pair.key: pair.value for pair in status.values}
            level = min(status.level[0], SILENT)
            self._heard[status.name] = _Heard(now, level, status.message, values)

    def report(self, now: int) -> list[dict[str, Any]]:
        """Return name, level, message and values of each status, the worst first, then by name."""
        rows = [_row(name, heard, now) for name, heard in self._heard.items()]
        return sorted(rows, key=lambda row: (_WORST_FIRST.index(row['level']), row['name']))


def _row(name: str, heard: _Heard, now: int) -> dict[str, Any]:
    level, message = heard.level, heard.message
    if now - heard.time > SILENCE:
        level = SILENT
        message = f'silent for {(now - heard.time) / 1e9:.0f} s; last: {message}'
    return {'name': name, 'level': level, 'message': message, 'values': heard.values}
