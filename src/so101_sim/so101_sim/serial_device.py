"""A serial port that exists only here: a pseudo-terminal with a link to it at a chosen path."""

import re
from collections.abc import Callable
from pathlib import Path

from so101_node.error import UserError
from so101_sim.pseudo_terminal import PseudoTerminal

# Seconds between two threads' turns in a process that has such a port: its bus answers within it
# while physics, ROS or a driver is at work.
SWITCH_INTERVAL = 0.0005

# How long `close` waits for a host to close its side.
_FAREWELL_SECONDS = 3.0


class SerialDevice:
    """Answers what a host writes to the port, which can be pulled out and put back.

    `path` is the port's present name; `by_id`, if given, a link that is there whenever the port
    is, whatever its name. A reply of the type Late comes later than others. Not thread-safe.
    """

    def __init__(
        self, path: Path, answer: Callable[[bytes], bytes], by_id: Path | None = None
    ) -> None:
        """Make the port; raises UserError when a link cannot be made."""
        self.path = path
        self._by_id = by_id
        self._answer = answer
        self._terminal: PseudoTerminal | None = None
        self.replug()

    @property
    def plugged(self) -> bool:
        return self._terminal is not None

    def close(self) -> None:
        """Remove the links, then the port once the host has closed it, so that it can let go.

        A driver that is stopped together with its simulated arm still switches torque off.
        """
        self._remove(_FAREWELL_SECONDS)

    def unplug(self) -> None:
        """Hang up on the host at once, and remove the links."""
        self._remove(0.0)

    def replug(self, rename: bool = False) -> None:
        """Put the port back, under its name or, as a kernel may do, under the next one.

        Raises UserError when a link cannot be made.
        """
        if self.plugged and not rename:
            return
        self.unplug()
        if rename:
            self.path = _next_name(self.path)
        self._terminal = terminal = PseudoTerminal(self._answer)
        try:
            for link in self._links():
                _link(link, terminal.name)
        except UserError:
            self.unplug()
            raise

    def _links(self) -> list[Path]:
        return [self.path] + ([self._by_id] if self._by_id else [])

    def _remove(self, patience: float) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is None:
            return
        for link in self._links():
            if link.is_symlink() and str(link.readlink()) == terminal.name:
                link.unlink()
        terminal.close(patience)


def _next_name(path: Path) -> Path:
    """Return ttyACM1 after ttyACM0, arm1 after arm."""
    found = re.fullmatch(r'(.*?)(\d*)', path.name)
    assert found is not None  # any name is
    return path.with_name(f'{found[1]}{int(found[2] or 0) + 1}')


def _link(path: Path, target: str) -> None:
    """Put a symbolic link at `path`, in place of one that an ended simulation left."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.symlink_to(target)
    except OSError as error:
        raise UserError(
            f'port {path}: cannot make the simulated port there ({error.strerror}); '
            f'give another path'
        ) from error
