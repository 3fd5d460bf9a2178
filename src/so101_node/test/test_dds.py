"""The DDS profile stands in two files, one for each Fast DDS; this one takes its own."""

import os
import subprocess
import sys
from pathlib import Path

from so101_node import dds


def test_both_files_say_the_same() -> None:
    (file,) = dds.profile().values()
    two, three = (_body(Path(file).with_name(f'fastdds_{number}.xml')) for number in (2, 3))
    assert two.replace('heartbeatPeriod', 'heartbeat_period') == three
    assert 'heartbeatPeriod' in two


def _body(file: Path) -> str:
    """Return what follows the comment that gives the reasons."""
    return file.read_text().split('-->')[1]


def test_the_workspace_sets_the_profile_that_the_launch_files_set() -> None:
    ((variable, file),) = dds.profile().items()
    hook = Path(file).parents[1] / 'hook' / 'dds.dsv'
    path = Path(file).relative_to(hook.parents[3])
    assert f'set-if-unset;{variable};{path}\n' in hook.read_text()


def test_the_middleware_takes_the_profile_without_a_word() -> None:
    program = "import rclpy; rclpy.init(); rclpy.create_node('example'); rclpy.shutdown()"
    ended = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, **dds.profile()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, '', '')
