"""Memory: whether nodes and model fit."""

import re
from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, skipped, sound, warning
from so101_bringup.doctor.subject import Subject

AREA = 'memory'

LOW = warning(
    'memory.low',
    'Little memory is free: a graph with SmolVLA on the CPU takes about 4 GB, and what is swapped '
    'out comes back late.',
    'end other programs (a browser, above all)',
)

_NEEDED = 4_000_000  # kB


def find(subject: Subject) -> Iterator[Finding]:
    text = subject.machine.text('/proc/meminfo') or ''
    sizes = {name: int(size) for name, size in re.findall(r'(\w+):\s+(\d+) kB', text)}
    free, total = sizes.get('MemAvailable'), sizes.get('MemTotal')
    if free is None or total is None:
        yield skipped(AREA, 'no /proc/meminfo here')
        return
    said = f'{free / 1e6:.1f} of {total / 1e6:.1f} GB free'
    values = {'available_kb': free, 'total_kb': total}
    if free < _NEEDED:
        yield LOW.finding(said, **values)
    else:
        yield sound(AREA, said, **values)
