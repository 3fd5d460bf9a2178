"""Holds the controls of a V4L2 camera whose frames another program reads."""

import errno
from pathlib import Path

from so101_cameras.sources.held_controls import HeldControls
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import Settings, SourceError
from so101_cameras.sources.video_nodes import find, lasting_name, video_nodes


class ControlWatch:
    """Call `look` once a second: it finds the camera, sets it, and sees whether it stays so."""

    def __init__(
        self,
        device: str,
        settings: Settings,
        *,
        kernel: Kernel | None = None,
        folder: Path | None = None,
    ) -> None:
        """`device` and `folder` as of V4l2Source."""
        self.camera = ''  # which it is, for a person; '' while it is not there
        self.applied = 0  # times, again after another program had changed it
        self._device = device
        self._settings = settings
        self._kernel = kernel or Kernel()
        self._folder = folder
        self._fd = -1
        self._held: HeldControls | None = None
        self._refused: list[str] = []

    def look(self) -> list[str]:
        """Return what the camera makes of what is asked for, where that is something else.

        Raises SourceError while it is not there, UserError for what only a person can change.
        """
        try:
            if self._held is None:
                self._open()
            elif self._held.strayed():
                self._apply()
        except OSError as error:
            self.close()
            gone = error.errno in (errno.ENODEV, errno.ENXIO, errno.ENOENT)
            cure = 'plug it in' if gone else 'see who may open it'
            raise SourceError(f'camera {self._device}: {error.strerror}: {cure}') from error
        return self._refused

    def close(self) -> None:
        """Restore what was there before; if the camera is gone, when it is back."""
        held, fd = self._held, self._fd
        self._held, self._fd, self.camera = None, -1, ''
        try:
            if held:
                held.release()
        except OSError:
            pass  # it is gone: its former settings stay noted until it is back
        finally:
            if fd >= 0:
                self._kernel.close(fd)

    def _open(self) -> None:
        nodes = video_nodes(self._kernel.sysfs, self._kernel.devices)
        node = find(self._device, nodes)
        name = lasting_name(node, nodes)
        self._fd = self._kernel.open(node.path)
        self._held = HeldControls(self._kernel, self._fd, name, self._settings, self._folder)
        self._apply()
        self.camera = str(node)
        if self._device in ('', str(node.path)):
            self._device = name

    def _apply(self) -> None:
        assert self._held
        self._refused = self._held.apply()
        self.applied += 1
