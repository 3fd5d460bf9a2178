"""The whole loop for real, tiny: by the command a user types, killed once in the training."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[1] / 'config' / 'pipeline_tiny.yaml'

# Real time: of two demonstrations, a rollout, and what starts them.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'so101_bringup', 'pipeline', '--config', str(CONFIG), 'out=all'],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        start_new_session=True,
    )


def end(folder: Path) -> str:
    """Run it to its end; return what it said."""
    process = start(folder)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def kill_when(folder: Path, line: str) -> None:
    """Start it, and kill it and the step that it is at, as a power cut would, after that line."""
    process = start(folder)
    assert process.stdout is not None
    said = []
    for text in process.stdout:
        said.append(text)
        if line in text:
            children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text()
            for child in children.split():
                os.killpg(int(child), signal.SIGKILL)
            os.killpg(process.pid, signal.SIGKILL)
            break
    threading.Thread(target=process.stdout.read, daemon=True).start()
    assert process.wait() == -signal.SIGKILL, ''.join(said)


def test_from_demonstrations_to_a_success_rate(tmp_path: Path) -> None:
    kill_when(tmp_path, 'step 3 of 6: loss')
    out = tmp_path / 'all'
    assert (out / 'train/checkpoints/last').readlink().name == '000002'

    said = end(tmp_path)
    report = json.loads((out / 'report.json').read_text())
    names = [step['name'] for step in report['steps']]
    assert names == ['demonstrate', 'check', 'convert', 'policy', 'train', 'evaluate']
    commands = {step['name']: step['commands'] for step in report['steps']}
    assert commands['train'][1:] == ['so101 train --resume-from all/train']
    assert all(len(commands[name]) == 1 for name in names if name != 'train')
    assert all(step['seconds'] > 1 for step in report['steps'])

    made = report['demonstrations']
    assert made['recorded'] == 2
    assert made['kept'] + len(made['left_out']) == 2 and made['kept'] > 0, said
    assert report['dataset']['episodes'] == made['kept']
    assert report['dataset']['frames'] > 100
    assert report['training']['step'] == 6
    assert report['evaluation']['successes'] + report['evaluation']['failures'] == 1
    assert 0 <= report['evaluation']['rate_interval']['low'] <= report['evaluation']['rate']

    page = (out / 'report.html').read_text()
    assert len(page) > 50_000  # with the picture of the training
    for link in ('check.html', 'rollouts/report.html', 'train/training.csv'):
        assert f'"{link}"' in page and (out / link).is_file()
    assert '2 recorded' in said and 'report          all/report.html' in said

    # Called again it has nothing to do.
    said = end(tmp_path)
    assert 'left: nothing' in said and 'step 1 of 6' not in said
