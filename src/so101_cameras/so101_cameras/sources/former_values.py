"""The settings that a camera had before they were changed, also when the program is killed.

A camera keeps its exposure after the program that set it has ended. The former values are in a
file of the user's runtime folder until they are restored, so that a program that follows a killed
one restores what was before that one, not what it left.
"""

import json
import os
import re
from pathlib import Path

from so101_node.error import UserError


def runtime_folder() -> Path:
    """Return $XDG_RUNTIME_DIR/so101 or, where there is none, a folder of this user in /tmp."""
    given = os.environ.get('XDG_RUNTIME_DIR')
    return Path(given) / 'so101' if given else Path(f'/tmp/so101-{os.getuid()}')


class FormerValues:
    """The former values of one camera: numbers by the names of its settings."""

    def __init__(self, camera: str, folder: Path | None = None) -> None:
        """`camera` is a lasting name of it, such as its serial number."""
        name = re.sub(r'[^A-Za-z0-9._-]', '_', camera)
        self.path = (folder or runtime_folder()) / f'camera-{name}.json'

    def load(self) -> dict[str, float]:
        """Return what a killed program left, or nothing."""
        try:
            values = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(
                f'{self.path}: {error}; it held the former settings of a camera: delete it'
            ) from error
        if not isinstance(values, dict) or not all(
            isinstance(value, int | float) for value in values.values()
        ):
            raise UserError(
                f'{self.path}: not the former settings of a camera, numbers by name: delete it'
            )
        return values

    def keep(self, values: dict[str, float]) -> None:
        """Write them, whole or not at all; call it before anything is changed."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.parent.stat().st_uid != os.getuid():
                raise PermissionError(f'{self.path.parent} belongs to another user')
            partial = self.path.with_suffix('.partial')
            partial.write_text(json.dumps(values))
            partial.replace(self.path)
        except OSError as error:
            raise UserError(
                f'cannot note the former settings of the camera: {error}; '
                'XDG_RUNTIME_DIR may name another folder'
            ) from error

    def forget(self) -> None:
        """Call it when they are restored."""
        self.path.unlink(missing_ok=True)
