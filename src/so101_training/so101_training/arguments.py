"""Arguments of the commands, out of the words that were typed."""

import argparse

from so101_node.error import UserError

_MOST = 100_000  # episodes, in a range of numbers


def natural(text: str) -> int:
    """Return a whole number above 0; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text!r}: expected a whole number above 0')
    return int(text)


def numbers(text: str, where: str) -> set[int]:
    """Return the numbers of '3,17,20-25'; raises UserError."""
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(','))):
        first, separator, last = part.partition('-')
        plain = first.isdecimal() and (last.isdecimal() or not separator)
        if not plain or int(last or first) - int(first) not in range(_MOST):
            raise UserError(f'{where} {part!r}: expected numbers such as 3,17,20-25')
        found |= set(range(int(first), int(last or first) + 1))
    return found
