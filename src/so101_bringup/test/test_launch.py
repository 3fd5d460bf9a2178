"""`ros2 launch` starts the same graph as the runner. Needs the launch system; skips without it."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from so101_bringup.command import show_arguments
from so101_bringup.graphs import TELEOP, WIRINGS
from so101_bringup.wiring import Wiring, share
from so101_episodes.episode import Episode

pytestmark = pytest.mark.skipif(
    shutil.which('ros2') is None, reason='ros2 launch is not installed'
)


def launch(
    *words: str, timeout: float = 60, file: str = 'infer.launch.py'
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['ros2', 'launch', 'so101_bringup', file, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize('wiring', WIRINGS.values(), ids=WIRINGS)
def test_show_args_says_what_the_runner_says(wiring: Wiring) -> None:
    shown = launch('--show-args', file=f'{wiring.name}.launch.py')
    assert shown.returncode == 0
    assert shown.stdout.split() == show_arguments(wiring).split()


def test_an_unknown_argument_is_refused() -> None:
    ended = launch('chekpoint:=x')
    assert ended.returncode == 1
    assert 'unknown argument chekpoint; known: checkpoint, mode' in ended.stdout


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    ended = launch(f'checkpoint:={tmp_path}/nowhere')
    assert ended.returncode == 1
    assert f'checkpoint {tmp_path}/nowhere: no such folder' in ended.stdout


def test_a_node_that_fails_ends_the_launch_with_code_1(unmarked: Path, tmp_path: Path) -> None:
    ended = launch(f'checkpoint:={unmarked}', f'port:={tmp_path}/nothing', 'record:=false')
    assert ended.returncode == 1
    assert 'driver ended with code 1' in ended.stdout


def test_a_robot_file_goes_behind_what_is_given(unmarked: Path, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    calibration = share('so101_sim') / 'config' / 'calibration.json'
    file.write_text(
        f'arm: {{port: {tmp_path}/said, calibration: {calibration}}}\ncheckpoint: {unmarked}'
    )
    common = (f'robot:={file}', 'record:=false', 'cameras:=false')
    assert f'{tmp_path}/said' in launch(*common).stdout
    given = launch(*common, f'port:={tmp_path}/given').stdout
    assert f'{tmp_path}/given' in given
    assert f'{tmp_path}/said' not in given


def test_what_is_wrong_in_a_robot_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('arm:\n  prot: x')
    ended = launch(f'robot:={file}')
    assert ended.returncode == 1
    assert f'{file}:2: arm: unknown key prot; did you mean port?' in ended.stdout


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


def test_teleoperation_in_simulation_until_ctrl_c(tmp_path: Path) -> None:
    launched = subprocess.Popen(
        [
            *('ros2', 'launch', 'so101_bringup', 'teleop.launch.py', 'sim:=true'),
            f'sim_port:={tmp_path}/arm',
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert launched.stdout is not None
    shown = []
    for line in launched.stdout:  # pytest's timeout ends a wait in vain
        shown.append(line)
        if 'following' in line:
            break
    launched.send_signal(signal.SIGINT)
    rest, _ = launched.communicate(timeout=60)
    assert 'following' in shown[-1], shown
    nodes = TELEOP.nodes(TELEOP.values({'sim': 'true'}))
    assert rest.count('process has finished cleanly') == len(nodes), rest
