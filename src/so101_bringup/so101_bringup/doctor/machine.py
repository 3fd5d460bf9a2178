"""What the doctor reads of the machine: all of it goes through here, and nothing is changed.

A test gives another root folder, and overrides what is no file.
"""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from so101_cameras.sources.source import Source
from so101_driver.serial_port import SerialPort
from so101_node.robot_file import CameraSetting

# Links that lead from one to the next: as many as Linux follows.
_LINKS = 40


class Output(NamedTuple):
    """What a program said, and its exit code."""

    code: int
    text: str


class Instant(NamedTuple):
    """One moment by both clocks, nanoseconds."""

    system: int  # can be set
    steady: int


class Process(NamedTuple):
    id: int
    name: str

    def __str__(self) -> str:
        return f'{self.name} (process {self.id})'


class Machine:
    """Paths are those of the machine, whatever `root` is."""

    def __init__(
        self, root: Path = Path('/'), environment: Mapping[str, str] = os.environ
    ) -> None:
        self.root = root
        self.environment = environment

    def path(self, name: str | Path) -> Path:
        """Return where a path of the machine is."""
        return self.root / _absolute(name).lstrip('/')

    def text(self, name: str) -> str | None:
        """Return what a file holds, without the blanks around it; None where there is none."""
        try:
            return self.path(name).read_text(errors='replace').strip()
        except OSError:
            return None

    def number(self, name: str) -> int | None:
        """Return the whole number in a file; None where there is none."""
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder, in order; nothing where there is none."""
        try:
            return sorted(entry.name for entry in self.path(folder).iterdir())
        except OSError:
            return []

    def exists(self, name: str) -> bool:
        return os.path.lexists(self.path(name)) and self.path(name).exists()

    def chain(self, name: str) -> list[str]:
        """Return a path, and where its links lead, one after the other."""
        found = [_absolute(name)]
        for _ in range(_LINKS):
            here = self.path(found[-1])
            if not here.is_symlink():
                break
            found.append(os.path.normpath(Path(found[-1]).parent / here.readlink()))
        return found

    def usable(self, name: str) -> bool:
        """Return whether this user may read and write it."""
        return os.access(self.path(name), os.R_OK | os.W_OK)

    def processes(self) -> Iterator[Process]:
        for name in self.names('/proc'):
            if name.isdigit():
                yield Process(int(name), self.text(f'/proc/{name}/comm') or 'unknown')

    def holders(self, device: str) -> list[Process]:
        """Return the other processes that have a device open, as far as this user may see them."""
        paths = set(self.chain(device))
        return [
            process
            for process in self.processes()
            if process.id != os.getpid() and paths & set(self._open_files(process.id))
        ]

    def _open_files(self, process: int) -> Iterator[str]:
        for name in self.names(f'/proc/{process}/fd'):
            try:
                yield str(self.path(f'/proc/{process}/fd/{name}').readlink())
            except OSError:
                continue  # closed by now

    def open_port(self, name: str) -> SerialPort:
        """Open an arm's port; raises UserError when that is not possible."""
        return SerialPort(str(self.path(name)))

    def open_source(self, name: str, setting: CameraSetting) -> Source:
        """Return a camera that our own node reads, not opened yet; raises UserError."""
        # ROS and OpenCV take a second, which only who looks at cameras should wait.
        from so101_cameras.camera_node import Parameters, source_of
        from so101_cameras.sources.kernel import Kernel

        parameters = Parameters(
            camera=name,
            source=setting.source,
            device=setting.device,
            exposure=setting.exposure,
            gain=setting.gain,
            white_balance=setting.white_balance,
            focus=setting.focus,
        )
        return source_of(parameters, Kernel())

    def seconds(self) -> float:
        """Return the time by which short durations are measured."""
        return time.perf_counter()

    def run(self, *words: str, seconds: float = 10.0) -> Output | None:
        """Run a program that only looks; None when there is none, or it takes too long."""
        if shutil.which(words[0]) is None:
            return None
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors='replace',
                timeout=seconds,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return Output(done.returncode, done.stdout.strip())

    def free_bytes(self, folder: str) -> int | None:
        """Return the room that this user has in a folder's file system; None of no folder."""
        try:
            found = os.statvfs(self.path(folder))
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def total_bytes(self, folder: str) -> int | None:
        try:
            found = os.statvfs(self.path(folder))
        except OSError:
            return None
        return found.f_blocks * found.f_frsize

    def write_seconds(self, folder: str, size: int) -> float:
        """Write so many bytes to the disk in a folder, and delete them again.

        Raises OSError where that is not possible.
        """
        block = os.urandom(1 << 20)  # a disk that compresses gains nothing
        file = self.path(folder) / f'.doctor_{os.getpid()}'
        started = time.monotonic()
        try:
            with file.open('wb') as out:
                for _ in range(size >> 20):
                    out.write(block)
                out.flush()
                os.fsync(out.fileno())
            return time.monotonic() - started
        finally:
            file.unlink(missing_ok=True)

    def versions(self, packages: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Return Python's version, and those of the packages that are installed in it."""
        found = {}
        for name in packages:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return platform.python_version(), found

    def now(self) -> Instant:
        return Instant(time.time_ns(), time.monotonic_ns())

    def load(self) -> tuple[float, int]:
        """Return how many programs want to run, on average of a minute, and the cores."""
        return os.getloadavg()[0], os.cpu_count() or 1


def _absolute(name: str | Path) -> str:
    """Return a path from the root, without following links."""
    return os.path.normpath(Path(name).absolute())
