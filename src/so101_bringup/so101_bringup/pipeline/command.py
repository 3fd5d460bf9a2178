"""pipeline: the whole loop in simulation, from demonstrations to a success rate.

    so101 pipeline
    so101 pipeline --config mine.yaml demonstrations=25 training.steps=1000

Demonstrate, check, convert, train, evaluate, and a report. Stopped or killed at any moment, it
goes on when it is called again; what is done is not done again. Exit code: 0 when the report is
written, 1 after an error, 2 for wrong arguments, 128 + its number after a signal.
"""

import argparse
import shlex
import signal
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from so101_bringup.pipeline import (
    lock,
    parameters,
    policy_size,
    process,
    report,
    report_page,
    summary,
)
from so101_bringup.pipeline.course import Course, StepFailed
from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.inventory import look
from so101_bringup.pipeline.process import Stopped
from so101_evaluation.report_writer import as_json, write_whole
from so101_node.error import UserError
from so101_training.training.history import PLOT

DESCRIPTION = 'The whole loop in simulation: demonstrate, check, convert, train, evaluate, report.'


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with the code that the module's docstring gives."""
    words = sys.argv[1:] if words is None else words
    given = _parser().parse_intermixed_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    again = shlex.join(['so101', 'pipeline', *words])
    try:
        run(given)
    except UserError as error:
        print(f'pipeline: {error}', file=sys.stderr)
        if isinstance(error, StepFailed):
            print(f'pipeline: see to that, and go on with: {again}', file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Stopped) as stop:
        print(f'pipeline: stopped; go on with: {again}', file=sys.stderr)
        sys.exit(128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT))


def run(given: argparse.Namespace) -> None:
    """Do what is left of the pipeline, and write the report. Raises UserError and Stopped."""
    file = parameters.read(given.config) if given.config else {}
    typed = parameters.overrides(given.override)
    chosen = parameters.assemble(parameters.defaults(), file, typed)
    policy_size.check(chosen.policy)
    course = Course(chosen, _say)
    if given.dry_run:
        course.show()
        return
    with lock.held(Folder(chosen.out).path, _say) as descriptor:

        def execute(words: Sequence[str], beat: Callable[[], object]) -> int:
            return process.run(words, descriptor, beat)

        course.show()
        course.run(execute)
        write(chosen)


def write(chosen: parameters.Parameters) -> None:
    """Write the report on a pipeline that is done, and say it. Raises UserError."""
    folder = Folder(chosen.out)
    made = report.build(chosen, look(chosen))
    curve = b64encode((folder.train / PLOT).read_bytes()).decode()
    write_whole(folder.page, report_page.render(made, f'data:image/png;base64,{curve}'))
    write_whole(folder.data, as_json(made.to_json()))
    print()
    for line in summary.lines(made):
        print(line)


def _say(text: str) -> None:
    print(f'pipeline: {text}' if text else '', flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='pipeline', description=DESCRIPTION)
    parser.add_argument(
        '--config', type=Path, help='YAML file of the parameters that differ from pipeline.yaml'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='say what is done and what is left, then end'
    )
    parser.add_argument(
        'override', nargs='*', metavar='KEY=VALUE', help='a parameter of pipeline.yaml'
    )
    return parser


if __name__ == '__main__':
    main()
