"""The instruction: missing, empty, or spelt in two ways."""

import re
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations

from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import Collection

NAME = 'task'

# Words that change nothing.
_EMPTY = {'the', 'a', 'an', 'please'}

# Two words of at least so many letters that are so alike are one word misspelt: cube and cubes,
# bowl and bwol; not red and blue.
_LETTERS, _ALIKE = 4, 0.74


def find(collection: Collection) -> Iterator[Finding]:
    texts = {take.number: take.tasks for take in collection.takes}
    for number, tasks in texts.items():
        if not any(task.strip() for task in tasks):
            yield Finding(
                NAME, number, BAD,
                'it has no task text, which the policy is told; write it, or leave it out',
            )  # fmt: skip
    counts = Counter(task for tasks in texts.values() for task in tasks if task.strip())
    odd: dict[str, str] = {}
    for one, other in combinations(counts, 2):
        if same_task(one, other):
            rare, usual = sorted((one, other), key=lambda task: (counts[task], task))
            if counts[usual] > counts.get(odd.get(rare, ''), 0):
                odd[rare] = usual
    for number, tasks in texts.items():
        for task in tasks:
            if task in odd:
                yield Finding(
                    NAME,
                    number,
                    DOUBTFUL,
                    f'its task is {task!r}, that of {counts[odd[task]]} others {odd[task]!r}: to '
                    'the policy these are two tasks; make them one',
                )


def same_task(one: str, other: str) -> bool:
    """Return whether two texts, which differ, say the same in other letters."""
    first, second = _words(one), _words(other)
    if first == second:
        return True
    return len(first) == len(second) and all(
        a == b
        or (min(len(a), len(b)) >= _LETTERS and SequenceMatcher(None, a, b).ratio() > _ALIKE)
        for a, b in zip(first, second, strict=True)
    )


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r'\w+', text.casefold()) if word not in _EMPTY]
