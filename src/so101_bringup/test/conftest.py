"""What the tests of the whole graph share: a checkpoint, and a ROS domain of their own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_bringup.runner import command
from so101_bringup.wiring import NodeSpec


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random SmolVLA checkpoint, made by the suite's own command."""
    folder = tmp_path_factory.mktemp('checkpoint') / 'tiny_smolvla'
    executable = command(NodeSpec('so101_policy', 'make_tiny_smolvla', 'make'))[0]
    subprocess.run([executable, '--out', str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope='session', autouse=True)
def domain() -> Iterator[None]:
    """Keep these graphs apart from one that a person runs on the same machine."""
    before = os.environ.get('ROS_DOMAIN_ID')
    os.environ['ROS_DOMAIN_ID'] = '87'
    yield
    if before is None:
        del os.environ['ROS_DOMAIN_ID']
    else:
        os.environ['ROS_DOMAIN_ID'] = before
