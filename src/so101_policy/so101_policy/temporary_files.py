"""LeRobot leaves a temporary file behind at each reading of a config; here it goes."""

import contextlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def removed() -> Iterator[None]:
    """Have the temporary files that are made meanwhile in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield
        finally:
            tempfile.tempdir = before
