"""Whether an episode's bag holds what was published."""

from collections import Counter
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader

from so101_episodes.bag import message_definitions
from so101_episodes.episode import Episode
from so101_node.topics import DIAGNOSTICS


def miscounted(folder: Path, episode: Episode) -> list[str]:
    """Name each topic of the bag that holds too few messages, and each status with a gap.

    Raises rosbags' ReaderError for a broken bag.
    """
    typestore: Any = message_definitions()
    counts: Counter[str] = Counter()
    numbers: dict[str, list[int]] = {}  # status -> its running numbers
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            counts[connection.topic] += 1
            if connection.topic == DIAGNOSTICS.name:
                message = typestore.deserialize_cdr(data, connection.msgtype)
                for status in message.status:
                    said = {pair.key: pair.value for pair in status.values}
                    numbers.setdefault(status.name, []).append(int(said['sequence']))
    wrong = [
        f'{name}: {counts[name]} in the bag, {topic.messages} recorded, {topic.lost} lost'
        for name, topic in episode.topics.items()
        if counts[name] != topic.messages or topic.lost
    ]
    gaps = [
        f'{DIAGNOSTICS.name} {name}: a gap'
        for name, found in sorted(numbers.items())
        if found != list(range(found[0], found[0] + len(found)))
    ]
    return wrong + gaps
