"""The keys of a session: what a terminal sends, as what the person means; pure."""

import codecs
import re
from dataclasses import dataclass
from enum import StrEnum

# Letters of a reason; more is a paste, or a cat.
_LONGEST_REASON = 200

# The rest of an arrow or function key, after the escape; and what may still become one.
_SEQUENCE = re.compile(r'\[[0-?]*[ -/]*[@-~]|O[ -~]')
_UNFINISHED = re.compile(r'(\[[0-?]*[ -/]*|O)?')

_LINE_KEYS = {'\r': '\n', '\b': '\x7f'}  # terminals differ; the latter each


class Key(StrEnum):
    RIGHT = 'right'
    LEFT = 'left'
    SUCCESS = 's'
    FAILURE = 'f'
    ESCAPE = 'Esc'


_LABELS = (Key.SUCCESS, Key.FAILURE)


@dataclass(frozen=True)
class Reason:
    """What was typed after s or f, and closed by Enter or by another key."""

    text: str


Event = Key | Reason


class Keyboard:
    """Takes bytes as they come, returns what they mean.

    s and f mean at once what they mean; what is typed after them, up to Enter, is the reason.
    `typing`: whether letters are taken for a reason now; `typed`: those so far.
    """

    def __init__(self) -> None:
        self.typing = False
        self.typed = ''
        self._decode = codecs.getincrementaldecoder('utf-8')('replace').decode
        self._kept = ''  # an escape, and what came of its sequence

    @property
    def undecided(self) -> bool:
        """Whether what came last may be Esc, or the beginning of another key: see `pause`."""
        return bool(self._kept)

    def feed(self, data: bytes) -> list[Event]:
        text, self._kept = self._kept + self._decode(data), ''
        events: list[Event] = []
        while text:
            letter, text = text[0], text[1:]
            if letter != '\x1b':
                events += self._letter(letter)
            elif sequence := _SEQUENCE.match(text):
                events += self._sequence(sequence.group())
                text = text[sequence.end() :]
            elif _UNFINISHED.fullmatch(text):
                self._kept, text = letter + text, ''
            else:
                events += self._key(Key.ESCAPE)
        return events

    def pause(self) -> list[Event]:
        """Nothing came for a while: an escape alone was the key Esc."""
        kept, self._kept = self._kept, ''
        return self._key(Key.ESCAPE) if kept == '\x1b' else []

    def forget(self) -> None:
        """What was typed so far is no reason any more: the next letters are keys again."""
        self.typing, self.typed = False, ''

    def _sequence(self, sequence: str) -> list[Event]:
        if sequence in ('[C', 'OC'):
            return self._key(Key.RIGHT)
        return self._key(Key.LEFT) if sequence in ('[D', 'OD') else []

    def _letter(self, letter: str) -> list[Event]:
        letter = _LINE_KEYS.get(letter, letter)
        if not self.typing:
            return self._key(Key(letter.lower())) if letter in 'sSfF' else []
        if letter == '\n':
            return self._closed()
        if letter == '\x7f':
            self.typed = self.typed[:-1]
        elif letter.isprintable() and len(self.typed) < _LONGEST_REASON:
            self.typed += letter
        return []

    def _key(self, key: Key) -> list[Event]:
        events = [*self._closed(), key]
        self.typing = key in _LABELS
        return events

    def _closed(self) -> list[Event]:
        """Return what was typed, if anything, and begin anew."""
        text = self.typed.strip()
        self.forget()
        if text.lower() in _LABELS:  # after a slip the other key is pressed, by then a letter
            self.typing = True
            return [Key(text.lower())]
        return [Reason(text)] if text else []
