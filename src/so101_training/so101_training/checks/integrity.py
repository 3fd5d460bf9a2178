"""What was found while the recordings were read: missing, broken or impossible data."""

from collections.abc import Iterator

from so101_training.checks.finding import Finding
from so101_training.checks.take import Collection

NAME = 'integrity'


def find(collection: Collection) -> Iterator[Finding]:
    yield from collection.faults
    for take in collection.takes:
        yield from take.faults
