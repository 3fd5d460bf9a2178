"""What the tests of the whole graph share: a checkpoint."""

import shutil
import subprocess
from pathlib import Path

import pytest

from so101_bringup.runner import command
from so101_bringup.wiring import NodeSpec


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random SmolVLA checkpoint, made by the suite's own command."""
    folder = tmp_path_factory.mktemp('checkpoint') / 'tiny_smolvla'
    executable = command(NodeSpec('so101_policy', 'make_smolvla', 'make'))[0]
    subprocess.run([executable, '--out', str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope='session')
def unmarked(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same checkpoint without the note that its weights are random.

    The arm at the other end of the port is a simulated one, which the graph is not told.
    """
    folder = tmp_path_factory.mktemp('unmarked') / 'smolvla'
    shutil.copytree(checkpoint, folder)
    (folder / 'so101.json').unlink()
    return folder
