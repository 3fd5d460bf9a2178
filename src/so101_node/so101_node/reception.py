"""What a subscriber received of what was published: exact loss and latency, from the middleware.

The middleware numbers the messages of each publisher; a gap in the numbers is a lost message. This
holds for topics with a single publisher, any publisher, also one that is not ours.
"""

from collections.abc import Mapping
from typing import Any

from so101_node.samples import Samples


class Reception:
    """Counts one subscription's messages. `add` takes the info that rclpy hands to callbacks."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = 0
        self.latency = Samples()  # seconds from publish() to the arrival in this process
        self._last: int | None = None

    def add(self, info: Mapping[str, Any]) -> None:
        number = info['publication_sequence_number']
        if self._last is not None and number > self._last:
            self.lost += number - self._last - 1
        self._last = number  # a smaller number: the publisher was restarted
        self.received += 1
        self.latency.add((info['received_timestamp'] - info['source_timestamp']) * 1e-9)
