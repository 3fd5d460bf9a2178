"""LeRobot's own chatter, kept in train.log; warnings are also shown."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

# Warnings of libraries to their developers, and those of LeRobot that so101 train says itself.
_HIDDEN = ('py.warnings', 'lerobot.configs.policies', 'huggingface_hub', 'transformers')

# Libraries that write to the terminal by themselves.
_WITH_HANDLERS = ('transformers', 'huggingface_hub', 'datasets')


class TrainLog(io.TextIOBase):
    """A text that is kept in memory until there is a file for it."""

    def __init__(self) -> None:
        self._file: TextIO | None = None
        self._held = io.StringIO()

    def open(self, path: Path) -> None:
        """Write on at the end of the file, what was held first."""
        self._file = path.open('a')
        self._file.write(self._held.getvalue())
        self._file.flush()

    def write(self, text: str) -> int:
        written = (self._file or self._held).write(text)
        self.flush()
        return written

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()


def set_up_logging(log: TrainLog, show: Callable[[str], None]) -> None:
    """Send all logging to `log`, and warnings that a user can act on also to `show`."""
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    to_file = logging.StreamHandler(log)
    to_file.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(name)s: %(message)s'))
    root.addHandler(to_file)
    root.addHandler(_Shown(show))
    for name in _WITH_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.captureWarnings(True)


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_HIDDEN):
            self._show(f'warning: {record.getMessage()}')


@contextlib.contextmanager
def chatter_in(log: TrainLog) -> Iterator[None]:
    """What is printed meanwhile goes to `log`; afterwards output and logging are as before."""
    loggers = [logging.getLogger(name) for name in (None, *_WITH_HANDLERS)]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            yield
        finally:
            logging.captureWarnings(False)
            for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
                logger.handlers[:] = handlers
                logger.setLevel(level)
                logger.propagate = propagate
