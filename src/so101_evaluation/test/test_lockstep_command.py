"""lockstep, the command, with a policy of random weights."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from so101_evaluation import lockstep
from so101_evaluation.lockstep_trials import SEED, trial
from so101_evaluation.statistics import wilson


def test_it_rolls_out_each_setting(tmp_path: Path, checkpoint: Path) -> None:
    command = [sys.executable, '-m', 'so101_evaluation.lockstep', str(checkpoint)]
    words = ['--rollouts', '2', '--episode-time', '2', '--modes', 'rtc,sync', '--latencies', '100']
    more = ['--processes', '2', '--out', str(tmp_path)]
    done = subprocess.run([*command, *words, *more], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f'written: {tmp_path / lockstep.DATA}' in done.stderr
    assert '0.0 % (0 of 2)' in done.stdout
    assert '100 ms' in done.stdout

    document = json.loads((tmp_path / lockstep.DATA).read_text())
    assert document['so101_lockstep'] == 1
    assert document['processes'] == 2
    for mode, found in zip(('rtc', 'sync'), document['settings'], strict=True):
        assert found['checkpoint'] == str(checkpoint)
        assert found['mode'] == mode
        assert found['latency_s'] == 0.1
        assert not found['spikes']
        assert found['interval'] == 10
        assert found['look'] == 'fixed'
        assert found['episode_time'] == 2.0
        assert (found['successes'], found['rollouts'], found['rate']) == (0, 2, 0.0)
        assert found['rate_interval'] == asdict(wilson(0, 2))
        assert found['success_seconds'] is None
        assert found['jump'] > 0
        assert found['jerk'] > 0
        assert [trial['seed'] for trial in found['trials']] == [SEED, SEED + 1]
        first, second = found['trials']
        assert (first['success'], first['held']) == (False, '')
        assert first['seconds'] == pytest.approx(2.0, abs=0.003)
        assert first['cube'] != second['cube']
        assert first['cube'] == pytest.approx(first['end'], abs=0.001)  # nobody touched it
        # Asked every third of a second, or when 49 ticks of actions are over.
        assert first['chunks'] == (6 if mode == 'rtc' else 2)

    given = lockstep._parser().parse_args([*command[3:], *words])
    rtc, _ = lockstep._settings(given)
    here = trial(rtc, SEED + 1)
    assert json.loads(json.dumps(asdict(here))) == document['settings'][0]['trials'][1]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('--rollouts', '0'), '--rollouts 0: give 1 or more'),
        (('--seed', '-1'), '--seed -1: give 0 or more'),
        (('--interval', '0'), '--interval 0: give 1 or more'),
        (('--interval', '51'), '--interval 51: a chunk of .* has 50 actions'),
        (('--processes', '-1'), '--processes -1: give 0 or more'),
        (('--episode-time', '0'), '--episode-time 0: give up to 600 s'),
        (('--episode-time', 'nan'), '--episode-time nan: give up to 600 s'),
        (('--modes', 'rtc,fast'), '--modes fast: known are rtc, ensemble, sync'),
        (('--latencies', '100;200'), '--latencies 100;200: give milliseconds'),
        (('--latencies', '-100'), 'latency -0.1 s: give 0 to 5'),
        (('--latencies', '9000'), 'latency 9 s: give 0 to 5'),
    ],
)
def test_words_that_make_no_sense_are_refused(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    name, value = words
    with pytest.raises(SystemExit) as ended:
        lockstep.main([str(checkpoint), f'{name}={value}', '--out', str(tmp_path / 'out')])
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith('lockstep: ')
    assert re.search(said, line)
    assert not (tmp_path / 'out').exists()


def test_a_folder_that_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        lockstep.main([str(tmp_path)])
    assert ended.value.code == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_the_last_latency_is_the_one_with_spikes(checkpoint: Path) -> None:
    given = lockstep._parser().parse_args(
        [str(checkpoint), '--latencies', '0,200,200', '--modes', 'sync,rtc', '--spikes']
    )
    found = lockstep._settings(given)
    assert [(setting.method.mode, str(setting.latency)) for setting in found] == [
        ('sync', '0 ms'),
        ('sync', '200 ms'),
        ('sync', '200 ms with spikes'),
        ('rtc', '0 ms'),
        ('rtc', '200 ms'),
        ('rtc', '200 ms with spikes'),
    ]
