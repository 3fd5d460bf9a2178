"""A command of a pipeline as a process: signals, the lock, and a pipeline that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so101_bringup.pipeline import lock, process
from so101_bringup.pipeline.process import Stopped
from so101_node.error import UserError

# A command that says that it runs, and on SIGTERM or SIGINT which signals it got, and ends.
COMMAND = """
import os, signal, sys, time
from pathlib import Path
out, linger = Path(sys.argv[1]), float(sys.argv[2])
heard = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda n, _: heard.append(n))
(out / 'runs').write_text(str(os.getpid()))
while not heard:
    time.sleep(0.01)
time.sleep(linger)
(out / 'heard').write_text(' '.join(str(int(n)) for n in heard))
sys.exit(5)
"""

# A pipeline of one such command, as a process that can be killed.
PIPELINE = """
import sys
from pathlib import Path
from so101_bringup.pipeline import lock, process
with lock.held(Path(sys.argv[1]), print) as descriptor:
    process.run(sys.argv[2:], descriptor, lambda: None)
"""


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 30
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f'{file.name} does not appear'
        time.sleep(0.01)
    return file.read_text()


@pytest.fixture
def free(tmp_path: Path) -> Iterator[int]:
    """A descriptor that nothing hangs on."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def words(folder: Path, linger: float = 0.3) -> list[str]:
    return [sys.executable, '-c', COMMAND, str(folder), str(linger)]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_handed_on_once_and_the_command_is_waited_for(
    tmp_path: Path, free: int, number: signal.Signals
) -> None:
    def press() -> None:
        wait_for(tmp_path / 'runs')
        # As the terminal does, to the whole group; the test's own group must not hear of it.
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(Stopped) as stopped:
        process.run(words(tmp_path), free, lambda: None)
    thread.join()
    assert stopped.value.number == number
    assert (tmp_path / 'heard').read_text() == str(int(number))
    assert signal.getsignal(number) is before


def test_the_exit_code_is_the_commands(free: int) -> None:
    ended = [sys.executable, '-c', 'import sys; sys.exit(3)']
    assert process.run(ended, free, lambda: None) == 3
    killed = [sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']
    assert process.run(killed, free, lambda: None) == -signal.SIGKILL


def test_a_command_has_no_terminal(free: int) -> None:
    check = 'import os, sys; sys.exit(bool(sys.stdin.read()) or os.getsid(0) != os.getpid())'
    assert process.run([sys.executable, '-c', check], free, lambda: None) == 0


def test_so101_is_this_pythons() -> None:
    assert process.argv(['so101', 'check', 'x']) == [
        *(sys.executable, '-m', 'so101_bringup'),
        *('check', 'x'),
    ]


def test_a_killed_pipelines_command_is_asked_to_end_and_the_next_one_waits(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, '-c', PIPELINE, str(tmp_path), *words(tmp_path)], start_new_session=True
    )
    wait_for(tmp_path / 'runs')
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    said: list[str] = []
    with lock.held(tmp_path, said.append):
        assert (tmp_path / 'heard').read_text() == str(int(signal.SIGTERM))
    assert len(said) == 1 and 'one that was killed still ends' in said[0]


def test_two_pipelines_do_not_work_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, '_PATIENCE', 0.0)
    with (
        lock.held(tmp_path / 'new', print),
        pytest.raises(UserError, match='another pipeline is at work'),
        lock.held(tmp_path / 'new', print),
    ):
        pass
    with lock.held(tmp_path / 'new', print):
        pass


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with (
        pytest.raises(UserError, match=r'out=.*/file: File exists'),
        lock.held(tmp_path / 'file', print),
    ):
        pass
