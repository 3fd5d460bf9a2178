"""A microphone that may be missing, be pulled out or fall silent: sound comes while there is some.

Sound is read from a file descriptor: a FIFO that another program writes, or ALSA's own recorder.
PyAV could open ALSA devices, too, but the libasound in its wheel finds neither the configuration
nor the plugins of the machine, without which there is no device `default`.
"""

import os
import select
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from so101_node.error import UserError
from so101_view.sound import RATE, Samples

# Before the path of a FIFO: what it gives is s16le, mono, 48 kHz.
FIFO = 'file:'

_ARECORD = ('arecord', '-q', '-t', 'raw', '-f', 'S16_LE', '-c', '1', '-r', str(RATE))
_PERIOD = ('--period-time=20000', '--buffer-time=500000')  # µs

_RETRY = 2.0  # seconds between two looks for a microphone that is not there
_LOOK = 0.2  # seconds after which it is seen that the node ends
_SILENCE = 1.0  # seconds without a sample that are worth telling
_READ = 8192  # bytes; 85 ms


class Microphone:
    """Reads `source` in a thread of its own: an ALSA device's name, or file: and a FIFO's path."""

    def __init__(self, source: str, deliver: Callable[[Samples, int], None]) -> None:
        """`deliver` gets samples and the time (ns, monotonic clock) at which they came.

        Raises UserError for a path that can never be a microphone.
        """
        self._deliver = deliver
        self._trouble = 'not there yet'
        self._heard = 0.0
        self._closing = threading.Event()
        if source.startswith(FIFO):
            path = Path(source.removeprefix(FIFO))
            _check(path)
            self._source = lambda: _fifo(path)
        else:
            self._source = lambda: _device(source)
        self._thread = threading.Thread(target=self._run, name='microphone')

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def trouble(self) -> str:
        """Why there is no sound; empty while there is."""
        if self._trouble:
            return self._trouble
        silent = time.monotonic() - self._heard
        return f'nothing came for {silent:.0f} s' if silent > _SILENCE else ''

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._source() as descriptor:
                    self._read(descriptor)
            except OSError as error:
                self._trouble = error.strerror or str(error)
            self._closing.wait(_RETRY)

    def _read(self, descriptor: int) -> None:
        """Deliver what comes until the end of it, or of this microphone."""
        rest = b''
        while not self._closing.is_set():
            if not select.select([descriptor], [], [], _LOOK)[0]:
                continue
            data = os.read(descriptor, _READ)
            if not data:
                raise OSError('nobody writes into it')
            now = time.monotonic_ns()
            data = rest + data
            whole = len(data) // 2 * 2
            rest = data[whole:]
            if whole:
                self._trouble, self._heard = '', now * 1e-9
                self._deliver(np.frombuffer(data[:whole], '<i2').astype(np.int16), now)


def _check(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # it may come; until then there is silence
    if not stat.S_ISFIFO(mode):
        raise UserError(
            f'parameter microphone: {path} is no FIFO; make one with mkfifo, and have a program '
            'write s16le, mono, 48 kHz into it'
        )


@contextmanager
def _fifo(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _device(name: str) -> Iterator[int]:
    """Record with arecord; raises OSError with its last words when it ends by itself."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*_ARECORD, *_PERIOD, '-D', name], stdout=subprocess.PIPE, stderr=said
            )
        except FileNotFoundError:
            raise OSError('arecord is not installed; apt install alsa-utils') from None
        assert process.stdout is not None
        try:
            yield process.stdout.fileno()
        except OSError as error:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            said.seek(0)
            lines = said.read().decode(errors='replace').split('\n')
            words = next((line for line in reversed(lines) if line.strip()), 'it ended')
            raise OSError(words) from error
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
