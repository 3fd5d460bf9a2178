"""What a training shows: a bar with an estimate on a terminal, a line each log step elsewhere."""

import sys
from typing import Any, TextIO

from rich.console import Console
from rich.progress import Progress

from so101_node.progress import progress_bar
from so101_training.training.history import Row, duration


class Display:
    """Says things, on the standard output that there was when it was made, or nothing at all."""

    def __init__(self, quiet: bool = False, file: TextIO | None = None) -> None:
        self.console = Console(
            file=file or sys.stdout, highlight=False, markup=False, soft_wrap=True, quiet=quiet
        )
        self._progress: Progress | None = None
        self._bar: Any = None
        self._total = 0

    def say(self, text: str) -> None:
        self.console.print(text)
        self.console.file.flush()

    def begin(self, step: int, total: int) -> None:
        """Show how far the training is, from the step that it goes on from."""
        self._total = total
        if self.console.is_terminal:
            self._progress = progress_bar(self.console)
            self._bar = self._progress.add_task(f'step {step:,} of {total:,}', total=total - step)
            self._progress.start()

    def advance(self) -> None:
        if self._progress is not None:
            self._progress.advance(self._bar)

    def log(self, row: Row) -> None:
        """Show a row of the history."""
        if self._progress is not None:
            text = f'step {row.step:,} of {self._total:,}, loss {row.loss:.3f}'
            self._progress.update(self._bar, description=text)
            return
        left = (self._total - row.step) * (row.data_s + row.update_s)
        self.say(
            f'step {row.step:,} of {self._total:,}: loss {row.loss:.3f}, '
            f'gradient norm {row.gradient_norm:.2f}, learning rate {row.learning_rate:.1e}, '
            f'update {row.update_s:.3f} s, data {row.data_s:.3f} s, left {duration(left)}'
        )

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
