"""A microphone that is not there, or goes, costs the sound, and is found again."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from so101_node.error import UserError
from so101_view import microphone
from so101_view.microphone import Microphone
from so101_view.sound import Samples

TIMEOUT = 10.0  # s


class Heard:
    """What a microphone delivered, in order."""

    def __init__(self) -> None:
        self.came: queue.Queue[tuple[Samples, int]] = queue.Queue()

    def __call__(self, samples: Samples, arrived: int) -> None:
        self.came.put((samples, arrived))

    def wait_for(self, number: int) -> Samples:
        """Return the samples since the last call, at least so many."""
        samples: Samples = np.empty(0, np.int16)
        while len(samples) < number:
            samples = np.concatenate([samples, self.came.get(timeout=TIMEOUT)[0]])
        return samples


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, '_RETRY', 0.05)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / 'fifo'
    os.mkfifo(path)
    return path


@pytest.fixture
def opened(heard: Heard) -> Iterator[Callable[[str], Microphone]]:
    started = []

    def start(source: str) -> Microphone:
        started.append(Microphone(source, heard))
        started[-1].open()
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_samples_come_from_a_fifo_as_they_were_written(
    opened: Callable[[str], Microphone], heard: Heard, fifo: Path
) -> None:
    mic = opened(f'file:{fifo}')
    samples = np.arange(-3000, 3000, dtype='<i2')
    with fifo.open('wb', buffering=0) as writer:
        data = samples.tobytes()
        writer.write(data[:101])  # ends amid a sample
        writer.write(data[101:])
        assert (heard.wait_for(6000) == samples).all()
        assert mic.trouble == ''


def test_a_program_that_ends_is_told_and_the_next_one_is_heard(
    opened: Callable[[str], Microphone], heard: Heard, fifo: Path
) -> None:
    mic = opened(f'file:{fifo}')
    for value in (1, 2):
        with fifo.open('wb', buffering=0) as writer:
            writer.write(np.full(100, value, '<i2').tobytes())
            assert set(heard.wait_for(100)) == {value}
        wait_for(lambda: mic.trouble == 'nobody writes into it')


def test_a_fifo_that_comes_later_is_found(
    opened: Callable[[str], Microphone], heard: Heard, tmp_path: Path
) -> None:
    path = tmp_path / 'later'
    mic = opened(f'file:{path}')
    wait_for(lambda: mic.trouble == 'No such file or directory')
    os.mkfifo(path)
    with path.open('wb', buffering=0) as writer:
        writer.write(bytes(200))
        heard.wait_for(100)


def test_silence_is_told(
    opened: Callable[[str], Microphone],
    heard: Heard,
    fifo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(microphone, '_SILENCE', 0.05)
    mic = opened(f'file:{fifo}')
    with fifo.open('wb', buffering=0) as writer:
        writer.write(bytes(200))
        heard.wait_for(100)
        wait_for(lambda: mic.trouble.startswith('nothing came'))


def test_a_plain_file_is_refused(tmp_path: Path, heard: Heard) -> None:
    path = tmp_path / 'sound.raw'
    path.write_bytes(bytes(100))
    with pytest.raises(UserError, match='no FIFO; make one with mkfifo'):
        Microphone(f'file:{path}', heard)


def arecord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of that name before all others."""
    path = tmp_path / 'bin' / 'arecord'
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{path.parent}:{os.environ["PATH"]}')


def test_a_device_is_recorded_by_arecord_which_ends_with_the_microphone(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arecord(
        tmp_path,
        monkeypatch,
        f'echo "$@" > {tmp_path}/said; echo $$ > {tmp_path}/pid; cat /dev/zero',
    )
    mic = Microphone('plughw:1,0', heard)
    mic.open()
    heard.wait_for(1000)
    assert mic.trouble == ''
    words = (tmp_path / 'said').read_text().split()
    assert words[-2:] == ['-D', 'plughw:1,0']
    assert {'S16_LE', '48000', 'raw'} < set(words)
    mic.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)


def test_the_last_words_of_a_device_that_is_gone_are_told_and_it_is_tried_again(
    opened: Callable[[str], Microphone],
    heard: Heard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arecord(
        tmp_path,
        monkeypatch,
        f'[ -e {tmp_path}/plugged ] && exec cat /dev/zero; '
        'echo "ALSA lib: bla" >&2; echo "audio open error: No such device" >&2; exit 1',
    )
    mic = opened('default')
    wait_for(lambda: mic.trouble == 'audio open error: No such device')
    (tmp_path / 'plugged').touch()
    heard.wait_for(1000)
    assert mic.trouble == ''


def test_a_machine_without_arecord_is_told_so(
    opened: Callable[[str], Microphone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PATH', '')
    mic = opened('default')
    wait_for(lambda: 'arecord is not installed' in mic.trouble)


def test_no_thread_is_left(fifo: Path, heard: Heard) -> None:
    before = threading.active_count()
    mic = Microphone(f'file:{fifo}', heard)
    mic.open()
    mic.close()
    assert threading.active_count() == before
