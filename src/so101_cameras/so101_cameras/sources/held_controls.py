"""A camera's controls while they are ours: set as asked, watched, restored when let go of."""

from pathlib import Path

from so101_cameras.sources.former_values import FormerValues
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import Settings
from so101_cameras.sources.v4l2_controls import Controls


class HeldControls:
    """Those of an open camera. Every method raises OSError when it is gone."""

    def __init__(
        self, kernel: Kernel, fd: int, camera: str, settings: Settings, folder: Path | None
    ) -> None:
        """Note how they are; `camera` is its lasting name, `folder` as of FormerValues."""
        self._controls = Controls(kernel, fd)
        self._settings = settings
        self._former = FormerValues(camera, folder)
        self._former.keep(self._former.load() or self._controls.read())

    def apply(self) -> list[str]:
        """Set what is asked for; see Controls.apply."""
        return self._controls.apply(self._settings)

    def strayed(self) -> list[str]:
        """Return those that are not as `apply` left them."""
        return self._controls.strayed()

    def release(self) -> None:
        """Restore what was there before; what cannot be stays noted for the next program."""
        if self._controls.restore(self._former.load()):
            self._former.forget()
