"""A program that listens to one camera's topics and prints what came, for the doctor.

    python -m so101_bringup.doctor.image_listener wrist

A process of its own: a participant of DDS may hang at its end.
"""

import sys
import time
from typing import Any

from so101_bringup.doctor.camera_reading import MEASURED, CameraReading, Gallery
from so101_cameras.picture import Compressed, Raw
from so101_node.node import Node, run
from so101_node.stamp import to_nanoseconds
from so101_node.topics import CAMERAS

# Seconds in which nodes find each other.
_DISCOVERY = 5.0

# Seconds between two looks at the clock.
_TICK = 0.1


class Listener(Node):
    """Listens to the JPEG images where there are any, to the raw ones else."""

    def __init__(self, name: str) -> None:
        super().__init__('doctor')
        self._name = name
        self._topics = CAMERAS[name]
        self._gallery = Gallery()
        self._before: Compressed | Raw | None = None
        self._until = time.monotonic() + _DISCOVERY
        self._listening = False
        self.create_timer(_TICK, self._tick)

    def _tick(self) -> None:
        compressed = self.count_publishers(self._topics.compressed.name)
        raw = self.count_publishers(self._topics.image.name)
        if not self._listening and (compressed or raw):
            self._listening = True
            self._until = time.monotonic() + _DISCOVERY
            if compressed:
                self.subscribe(self._topics.compressed, self._on_compressed)
            else:
                self.subscribe(self._topics.image, self._on_raw)
        if time.monotonic() >= self._until:
            reading = CameraReading(self._name, tuple(self._gallery.images), self._gallery.shown)
            print(reading.to_json())
            self.end()

    def _on_compressed(self, message: Any) -> None:
        self._add(message, Compressed(bytes(message.data)))

    def _on_raw(self, message: Any) -> None:
        self._add(message, Raw(message))

    def _add(self, message: Any, picture: Compressed | Raw) -> None:
        if not self._gallery.images:
            self._until = time.monotonic() + MEASURED
        captured = to_nanoseconds(message.header.stamp)
        same = picture == self._before
        self._gallery.add(captured, time.time_ns(), same, picture.look)
        self._before = picture


def main() -> None:
    run(lambda: Listener(sys.argv[1]))


if __name__ == '__main__':
    main()
