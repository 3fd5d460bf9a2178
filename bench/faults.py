"""Each fault in each situation, on the simulated arm: what the driver does about it.

`make bench NAME=faults`; four minutes. Writes the table of docs/faults.md anew.
"""

import sys
import tempfile
from pathlib import Path

from so101_bringup import figures
from so101_bringup.figures import at_most, exactly, untargeted
from so101_sim.fault_table import MOTION, ROWS, Cause
from so101_sim.fault_trial import Result, Stand
from so101_sim.mounting import calibration_path

DOCUMENT = Path('docs') / 'faults.md'

SUMMARY = 'In this table: '
HEAD = (
    '| fault | situation | noticed | motion | torque | outcome | message | way out |\n'
    '|---|---|---|---|---|---|---|---|\n'
)


def line(result: Result, folder: str) -> str:
    """Return a result as a row of the table; `folder` is where the ports were."""
    row = result.row
    after = '' if result.seconds is None else f'{result.seconds * 1e3:.0f} ms'
    cycles = '' if row.within is None else f'{result.cycles} of {row.within}, '
    motion = 'limp' if result.motion is None else f'{result.motion:.2f}'
    return (
        f'| {row.orders} | {row.situation} | {cycles}{after} | {motion} | {row.torque} '
        f'| {row.outcome} | {result.message.replace(folder, "/dev")} | {row.steps} |\n'
    )


def document(results: list[Result], lines: list[str]) -> None:
    """Put the table into the document, below its introduction."""
    introduction = DOCUMENT.read_text().partition(SUMMARY)[0]
    worst = max(results, key=lambda result: result.motion or 0.0)
    summary = (
        f'{SUMMARY}{len(results)} rows. The largest motion is {worst.motion:.2f} degrees: '
        f'`{worst.row.orders}`, {worst.row.situation}.\n\n'
    )
    DOCUMENT.write_text(introduction + summary + HEAD + ''.join(lines))


def main() -> None:
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(Path(folder), calibration_path())
        try:
            for row in ROWS:
                result = stand.trial(row)
                results.append(result)
                print(line(result, folder), end='', flush=True)
                for miss in result.misses:
                    print(f'  NOT AS DEMANDED: {miss}', flush=True)
        finally:
            stand.close()
        lines = [line(result, folder) for result in results]
    missed = [str(result.row) for result in results if result.misses]
    if not missed:
        document(results, lines)
    motions = [result.motion for result in results if result.motion is not None]
    cycles = [result.cycles for result in results if result.cycles is not None]
    guard = [result.seconds for result in results if result.row.orders == Cause.KILL]
    found = [
        exactly('rows_not_as_demanded', len(missed), 0, '', required=True,
                reason='; '.join(missed)),
        untargeted('rows', len(results), ''),
        at_most('largest_uncommanded_motion', max(motions), MOTION, 'degrees', required=True),
        untargeted('most_cycles_until_noticed', max(cycles), 'cycles'),
        untargeted('torque_off_after_a_kill', max(s or 0.0 for s in guard) * 1e3, 'ms'),
    ]  # fmt: skip
    figures.show('Faults', found)
    figures.write(Path('build') / 'bench' / 'faults.json', 'faults', found, table=lines)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
