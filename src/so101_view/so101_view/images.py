"""The latest images of one camera, of which each frame of a video shows one."""

import threading
from collections import deque
from typing import Any

from so101_cameras.image import Array, from_jpeg, from_message

# Nanoseconds after which an image is no longer what the camera sees.
MAX_AGE = 1_000_000_000

# A second at 30 Hz. A video that falls further behind repeats its pictures.
_KEPT = 30


class Images:
    """Takes images from one thread, and tells another which is to be seen when."""

    def __init__(self) -> None:
        self._coming: deque[tuple[int, Any]] = deque()  # times, and messages
        self._shown: Any = None
        self._alive = -MAX_AGE  # when the camera last gave an image, as far as it is known
        self._lock = threading.Lock()

    def add(self, time: int, message: Any) -> None:
        """Add the sensor_msgs/Image or CompressedImage of `time` (ns), later than the others'."""
        with self._lock:
            if len(self._coming) == _KEPT:
                self._alive, self._shown = self._coming.popleft()
            self._coming.append((time, message))

    def at(self, time: int) -> Any:
        """Return the newest message of `time` (ns) or before; None when none is fresh enough.

        Call it with times that grow: what is older is forgotten.
        """
        with self._lock:
            while self._coming and self._coming[0][0] <= time:
                self._alive, self._shown = self._coming.popleft()
            return self._shown if time - self._alive <= MAX_AGE else None


def pixels(message: Any) -> Array:
    """Decode an image message of either type to rgb8; raises ValueError."""
    if hasattr(message, 'encoding'):
        return from_message(message)
    return from_jpeg(bytes(message.data))
