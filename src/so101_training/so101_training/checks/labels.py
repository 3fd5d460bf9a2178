"""Episodes that were labelled as failures."""

from collections.abc import Iterator

from so101_training.checks.finding import BAD, Finding
from so101_training.checks.take import Collection

NAME = 'failure'


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        if take.outcome == 'failure':
            why = f': {take.reason}' if take.reason else ''
            yield Finding(
                NAME, take.number, BAD, f'it is labelled as a failure{why}; leave it out'
            )
