"""The runner: starts, watches and stops nodes together, and leaves none behind."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from so101_bringup import runner
from so101_bringup.wiring import NodeSpec
from so101_node.error import UserError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for executables of an installed package named `example`."""
    index = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    folder = tmp_path / 'lib' / 'example'
    index.mkdir(parents=True)
    folder.mkdir(parents=True)
    (index / 'example').touch()
    prefixes = f'{tmp_path}:{os.environ["AMENT_PREFIX_PATH"]}'
    monkeypatch.setenv('AMENT_PREFIX_PATH', prefixes)
    return folder


def script(folder: Path, name: str, body: str, ends_graph: bool = False) -> NodeSpec:
    path = folder / name
    path.write_text(f'#!{sys.executable}\nimport pathlib, sys, time\n{textwrap.dedent(body)}\n')
    path.chmod(0o755)
    return NodeSpec('example', name, name, {'word': 'a b', 'number': 2.0}, ends_graph)


def start_runner() -> 'subprocess.Popen[str]':
    """Run the node `worker` in a process whose exit code is the runner's."""
    program = (
        'import sys; from so101_bringup import runner; from so101_bringup.wiring import NodeSpec;'
        "sys.exit(runner.run([NodeSpec('example', 'worker', 'worker')], {}).code)"
    )
    return subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True)


def test_the_node_that_ends_the_graph_stops_the_others(package: Path) -> None:
    worker = script(package, 'worker', 'time.sleep(60)')
    boss = script(package, 'boss', 'time.sleep(0.1)', ends_graph=True)
    outcome = runner.run([worker, boss], {})
    assert outcome.codes['boss'] == 0
    assert outcome.codes['worker'] == -signal.SIGTERM  # it had no handler: not a clean stop
    assert 'did not stop cleanly: worker' in outcome.failure


def test_a_clean_run_has_no_failure(package: Path) -> None:
    body = """
        import signal
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        pathlib.Path(__file__).with_suffix('.ready').touch()
        time.sleep(60)
    """
    wait = """
        while not pathlib.Path(__file__).with_name('worker.ready').exists():
            time.sleep(0.01)
    """
    worker = script(package, 'worker', body)
    outcome = runner.run([worker, script(package, 'boss', wait, ends_graph=True)], {})
    assert (outcome.failure, outcome.code, outcome.codes) == ('', 0, {'worker': 0, 'boss': 0})


def test_a_node_that_fails_stops_the_graph_with_its_last_line(
    package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    worker = script(package, 'worker', 'sys.exit("worker: no port; plug it in")')
    boss = script(package, 'boss', 'time.sleep(60)', ends_graph=True)
    outcome = runner.run([worker, boss], {})
    assert outcome.failure == 'worker: no port; plug it in'
    assert outcome.code == 1
    assert 'worker: no port; plug it in\n' in capfd.readouterr().out


def test_a_node_that_ends_early_is_a_failure_even_with_code_0(package: Path) -> None:
    worker = script(package, 'worker', 'print("bye")')
    boss = script(package, 'boss', 'time.sleep(60)', ends_graph=True)
    assert runner.run([worker, boss], {}).failure == 'worker ended: bye'


def test_parameters_keep_their_type_on_the_command_line(package: Path) -> None:
    line = runner.command(script(package, 'worker', ''))
    assert line[1:] == [
        *('--ros-args', '--remap', '__node:=worker'),
        *('--param', 'word:="a b"', '--param', 'number:=2.0'),
    ]


def test_nodes_of_one_name_are_told_apart_by_their_namespace(
    package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = script(package, 'worker', 'sys.exit("worker: no port; plug it in")')
    leader = NodeSpec('example', 'worker', 'worker', namespace='leader')
    assert runner.command(leader)[-2:] == ['--remap', '__ns:=/leader']
    outcome = runner.run([script(package, 'boss', 'time.sleep(60)'), leader], {})
    assert outcome.failure == 'leader/worker: no port; plug it in'
    assert node.label == 'worker'
    assert set(outcome.codes) == {'boss', 'leader/worker'}
    assert 'leader/worker: no port; plug it in\n' in capfd.readouterr().out


def test_a_missing_package_is_named() -> None:
    with pytest.raises(UserError, match='package nowhere is not installed'):
        runner.command(NodeSpec('nowhere', 'x', 'x'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_nodes_and_is_the_exit_code(
    package: Path, number: signal.Signals
) -> None:
    body = """
        import signal
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print('ready', flush=True)
        time.sleep(60)
    """
    script(package, 'worker', body)
    process = start_runner()
    assert process.stdout is not None
    assert process.stdout.readline().startswith('Starting worker')
    assert process.stdout.readline() == 'worker: ready\n'
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number
    assert process.stdout.read() == ''


def test_a_killed_node_is_not_hidden_behind_what_it_said_before(package: Path) -> None:
    body = """
        import os
        print('all is well', flush=True)
        os.kill(os.getpid(), 9)
    """
    boss = script(package, 'boss', 'time.sleep(60)', ends_graph=True)
    outcome = runner.run([script(package, 'worker', body), boss], {})
    assert outcome.failure == 'worker was killed by SIGKILL; start again'


def test_a_reader_that_goes_away_stops_the_graph(package: Path) -> None:
    body = """
        import signal
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            print('ready', flush=True)
            time.sleep(0.01)
    """
    script(package, 'worker', body)
    process = start_runner()
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) != 0
