"""The whole graph in simulation, by the command a user types."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from so101_description.joints import HOME
from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE
from so101_episodes import bag_scan
from so101_episodes.episode import Episode
from so101_node.topics import REFERENCE, SIM_STATE
from so101_sim import scene


def so101(*words: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'so101_bringup', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
    )


def ended(process: subprocess.Popen[str], timeout: float) -> str:
    """Return all the output, which ends only when no process of the graph is left to write it."""
    return process.communicate(timeout=timeout)[0]


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_the_demo_moves_the_arm_records_and_loses_nothing(
    checkpoint: Path, tmp_path: Path
) -> None:
    process = so101(
        'demo',
        f'checkpoint:={checkpoint}',
        *('num_rollouts:=1', 'episode_time:=4.0', 'direct_reset:=true'),
        f'sim_port:={tmp_path}/arm',
        cwd=tmp_path,
    )
    output = ended(process, 200)
    assert process.returncode == 0, output
    summary = json.loads((tmp_path / 'build' / 'demo' / 'summary.json').read_text())
    figures = {figure['name']: figure for figure in summary['figures']}
    assert all(figure['ok'] for figure in figures.values() if figure['required'])
    assert figures['trajectories']['value'] >= 3
    assert figures['arm_travel']['value'] > 5
    assert 'untrained' in output
    assert not list((tmp_path / 'build/demo/recordings').glob('.partial/*'))
    recordings = tmp_path / 'build' / 'demo' / 'recordings'
    (video,) = recordings.glob('*/video.mp4')
    assert video.stat().st_size > 10_000
    report = json.loads((recordings / 'report.json').read_text())
    assert len(report['episodes']) == 1


@pytest.mark.timeout(180)
def test_a_demonstration_in_simulation_begins_at_home_and_ends_with_the_cube_in_the_bowl(
    tmp_path: Path,
) -> None:
    process = so101(
        'record',
        *('sim:=true', 'num_episodes:=1', 'page:=false', 'look:=varied', 'seed:=12'),
        f'sim_port:={tmp_path}/arm',
        f'recordings:={tmp_path}/recordings',
        cwd=tmp_path,
    )
    output = ended(process, 150)
    assert process.returncode == 0, output
    assert '1 of 1 demonstrations are there; of this session: 1 success' in output
    (folder,) = (tmp_path / 'recordings').glob('[!.]*')
    episode = Episode.load(folder)
    assert (episode.kind, episode.outcome) == ('demonstration', 'success')
    told, seen = [], []
    for channel, _, data in bag_scan.messages(next(folder.glob('*.mcap'))):
        if channel.topic == f'/{REFERENCE.name}':
            told.append(deserialize_message(data, JointState))
        elif channel.topic == f'/{SIM_STATE.name}':
            seen.append(deserialize_message(data, JointState))
    assert np.array(told[0].position) == pytest.approx(HOME, abs=0.03)
    assert {state.header.frame_id for state in seen} == {'seed 13'}
    cube = np.array(seen[-1].position[6:9])
    assert np.linalg.norm(cube[:2] - scene.BOWL_CENTRE) < scene.BOWL_FLOOR_RADIUS
    assert np.linalg.norm(np.array(seen[0].position[6:8]) - SQUARE_CENTRE) < SQUARE_SIZE


def test_random_weights_are_for_simulation_only(checkpoint: Path, tmp_path: Path) -> None:
    process = so101('infer', f'checkpoint:={checkpoint}', cwd=tmp_path)
    output = ended(process, 60)
    assert process.returncode == 1
    assert 'its weights are random, for simulation only' in output


def test_a_port_that_is_absent_is_one_clear_error(unmarked: Path, tmp_path: Path) -> None:
    process = so101('infer', f'checkpoint:={unmarked}', f'port:={tmp_path}/ttyX', cwd=tmp_path)
    output = ended(process, 60)
    assert process.returncode == 1
    last = output.splitlines()[-1]
    assert last.startswith('so101 infer: driver: ')


@pytest.fixture
def interrupted(checkpoint: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = so101(
        'infer',
        *('sim:=true', 'episode_time:=20.0', 'direct_reset:=true'),
        f'checkpoint:={checkpoint}',
        f'sim_port:={tmp_path}/arm',
        f'recordings:={tmp_path}/recordings',
        cwd=tmp_path,
    )
    yield process
    if process.poll() is None:
        process.kill()


@pytest.mark.timeout(180)
@pytest.mark.parametrize('moment', ['driver: ', 'session: ', 'EPISODE'])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(
    interrupted: subprocess.Popen[str], tmp_path: Path, moment: str
) -> None:
    """Wait for a line of the output (or an episode being recorded), then interrupt."""
    partial = tmp_path / 'recordings' / '.partial'
    assert interrupted.stdout is not None
    if moment == 'EPISODE':
        reached = threading.Event()
        threading.Thread(target=_drain, args=(interrupted, reached), daemon=True).start()
        while not any(partial.glob('*/*.mcap')):
            assert interrupted.poll() is None
            reached.wait(0.1)
    elif moment:
        for line in interrupted.stdout:
            if line.startswith(moment):
                break
    interrupted.send_signal(signal.SIGINT)
    code = interrupted.wait(timeout=60)
    assert code == 128 + signal.SIGINT
    assert not (tmp_path / 'arm').is_symlink()
    assert not _processes_mentioning(str(tmp_path))
    for bag in (tmp_path / 'recordings').glob('[!.]*'):
        assert (bag / 'episode.json').is_file(), 'a half-written episode under a final name'


def _drain(process: subprocess.Popen[str], done: threading.Event) -> None:
    assert process.stdout is not None
    process.stdout.read()
    done.set()


def _processes_mentioning(text: str) -> list[str]:
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        if int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / 'cmdline').read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in line:
            found.append(line.replace('\0', ' '))
    return found
