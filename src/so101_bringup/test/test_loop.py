"""The whole loop by the commands that a user types: record, convert, check, train, roll out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from so101_policy import tiny_smolvla


def so101(*words: str, cwd: Path) -> tuple[int, str]:
    """Run the command to its end; return its exit code and all that it said."""
    ended = subprocess.run(
        [sys.executable, '-m', 'so101_bringup', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, 'COLUMNS': '200'},
    )
    return ended.returncode, ended.stdout


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_demonstrations_become_a_policy_that_moves_the_arm(tmp_path: Path) -> None:
    graph = ('sim:=true', 'direct_reset:=true', f'sim_port:={tmp_path}/arm', 'page:=false')
    code, said = so101(
        *('record', *graph, 'num_episodes:=2', 'episode_time:=3.0', 'reset_time:=0.2'),
        f'recordings:={tmp_path}/recordings',
        cwd=tmp_path,
    )
    assert code == 0, said

    words = ('recordings', '--out', 'dataset', '--outcome', 'all')
    code, said = so101('convert', *words, cwd=tmp_path)
    assert code == 0, said
    assert '2 episodes: ' in said

    code, said = so101('check', 'dataset', '--json', 'verdicts.json', cwd=tmp_path)
    assert code in (0, 1), said  # a hand that is scripted may pause for too long
    verdicts = json.loads((tmp_path / 'verdicts.json').read_text())
    found = {f['check'] for e in verdicts['episodes'] for f in e['findings']}
    assert not found & {'integrity', 'black', 'torn', 'units', 'statistics', 'task', 'limits'}
    assert (tmp_path / 'dataset_check.html').stat().st_size > 10_000

    tiny_smolvla.build(tmp_path / 'tiny')
    code, said = so101(
        *('train', '--dataset', 'dataset', 'policy=tiny', 'steps=2', 'save_freq=2', 'log_freq=1'),
        *('batch_size=4', 'num_workers=1', 'device=cpu'),
        cwd=tmp_path,
    )
    assert code == 0, said
    checkpoint = tmp_path / 'outputs/train/checkpoints/last/pretrained_model'
    note = json.loads((checkpoint / 'so101.json').read_text())
    assert note['trained'] and note['fps'] == 30

    code, said = so101(
        *('infer', *graph, 'num_rollouts:=1', 'episode_time:=3.0', 'on_mismatch:=warn'),
        *(f'checkpoint:={checkpoint}', f'recordings:={tmp_path}/rollouts'),
        cwd=tmp_path,
    )
    assert code == 0, said
    (episode,) = (tmp_path / 'rollouts').glob('2*/episode.json')
    rollout = json.loads(episode.read_text())
    assert rollout['complete'] and rollout['kind'] == 'rollout'
    assert rollout['topics']['/policy/action_chunk']['messages'] > 0
