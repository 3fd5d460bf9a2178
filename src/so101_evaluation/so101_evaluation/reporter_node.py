"""The reporter: keeps the report of a folder of episodes up to date while they are recorded."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from so101_evaluation.report import Report
from so101_evaluation.report_command import result
from so101_evaluation.report_writer import ReportWriter
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter

# Seconds between two looks at the folder. An episode takes longer.
_LOOK_PERIOD = 1.0


@dataclass(frozen=True)
class Parameters:
    directory: str = parameter('recordings', 'Folder of the episodes and of the report')


class Reporter(Node):
    """Looks at the folder itself: so it also sees a label that was changed by whatever means.

    A report that cannot be written stops nothing: it is said, and tried again.
    """

    def __init__(self) -> None:
        super().__init__('reporter')
        self._directory = Path(declare(self, Parameters).directory)
        self._writer = ReportWriter([self._directory], self._directory)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='report')
        self._writing: Future[None] | None = None
        self._report: Report | None = None
        self._trouble = ''
        self._diagnostics = Diagnostics(self, self._statuses)
        self.create_timer(_LOOK_PERIOD, self._look)

    def open(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f'parameter directory: cannot use {self._directory}: {error.strerror}'
            ) from error

    def close(self) -> None:
        """Write the report a last time: of the last episode, and of videos that are complete now.

        Raises UserError when that does not succeed.
        """
        self._thread.shutdown()
        if not self._directory.is_dir():
            return  # it could not even be made
        report = self._writer.read()
        if not report.entries:
            print(f'{self._directory}: no rollout was recorded, so there is no report', flush=True)
            return
        self._writer.write(report)
        print(result(report, self._writer.page), flush=True)

    def _look(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = self._thread.submit(self._update)
            self._writing.add_done_callback(self._updated)

    def _update(self) -> None:
        """In the thread: write the report if there is something new."""
        try:
            if not self._trouble and not self._writer.changed():
                return
            report = self._writer.read()
            if report.entries:
                self._writer.write(report)
                self._report = report
            self._trouble = ''
        except UserError as error:
            self._trouble = str(error)

    def _updated(self, writing: Future[None]) -> None:
        if (error := writing.exception()) is not None:
            self.end(error)

    def _statuses(self) -> list[Status]:
        report, trouble = self._report, self._trouble
        values: dict[str, str | float | int | bool] = {
            'path': str(self._writer.page) if report else '',
            'episodes': len(report.entries) if report else 0,
        }
        said = result(report, self._writer.page) if report else 'no rollout yet'
        level = Level.ERROR if trouble else Level.OK
        return [Status('reporter/report', level, trouble or said, values)]


def main() -> None:
    run(Reporter)


if __name__ == '__main__':
    main()
