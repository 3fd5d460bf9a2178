"""`ros2 launch` starts the same graph as the runner. Needs the launch system; skips without it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from so101_bringup.command import show_arguments
from so101_bringup.wiring import INFER
from so101_episodes.episode import Episode

pytestmark = pytest.mark.skipif(
    shutil.which('ros2') is None, reason='ros2 launch is not installed'
)


def launch(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['ros2', 'launch', 'so101_bringup', 'infer.launch.py', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def test_show_args_says_what_the_runner_says() -> None:
    shown = launch('--show-args')
    assert shown.returncode == 0
    assert shown.stdout.split() == show_arguments(INFER).split()


def test_an_unknown_argument_is_refused() -> None:
    ended = launch('chekpoint:=x')
    assert ended.returncode == 1
    assert 'unknown argument chekpoint; known: checkpoint, task' in ended.stdout


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    ended = launch(f'checkpoint:={tmp_path}/nowhere')
    assert ended.returncode == 1
    assert f'checkpoint {tmp_path}/nowhere: no such folder' in ended.stdout


def test_a_node_that_fails_ends_the_launch_with_code_1(unmarked: Path, tmp_path: Path) -> None:
    ended = launch(f'checkpoint:={unmarked}', f'port:={tmp_path}/nothing', 'record:=false')
    assert ended.returncode == 1
    assert 'driver ended with code 1' in ended.stdout


@pytest.mark.timeout(180)
def test_a_rollout_in_simulation(checkpoint: Path, tmp_path: Path) -> None:
    ended = launch(
        f'checkpoint:={checkpoint}',
        *('sim:=true', 'episode_time:=2.0', 'direct_reset:=true'),
        f'sim_port:={tmp_path}/arm',
        f'recordings:={tmp_path}/recordings',
        timeout=150,
    )
    assert ended.returncode == 0, ended.stdout
    (folder,) = [path for path in (tmp_path / 'recordings').iterdir() if path.name[0] != '.']
    assert Episode.load(folder).topics
