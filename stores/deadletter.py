"""Dead letters: events that a fold could not take, in their place in the log: family DEAD.

Their count is a row of its own, so that asking for it does not read them.
Neither is part of what a state's digest covers: they tell of tries, not of events.
"""

import struct
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keycodec import dead_letter_key, dead_letter_prefix, meta_key
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

REASON_BYTES_MAX: Final = 1024  # as UTF-8: enough for an error's name and text, too little to fill a disk
DEAD_LETTER_COUNT_KEY: Final = meta_key("dead-letters")

_COUNT: Final = struct.Struct("<Q")
_READ_CHARACTERS_MAX: Final = 4 * REASON_BYTES_MAX


class DeadLetter(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One event that was passed over."""

    seq: int
    time: int  # hybrid time of its frame
    fold: str  # the name of the fold that raised; "decode" if no fold has seen it
    reason: str  # one line
    attempts: int  # how often it was tried, the first time included


_CODEC: Final = RecordCodec(DeadLetter, version=1)


class DeadLetterStore:
    """Reads dead letters."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, seq: int) -> DeadLetter | None:
        """The letter of the event at seq."""
        data = self._reader.get(dead_letter_key(seq))
        return None if data is None else _CODEC.decode(data)

    def letters(self, *, after: int | None = None, count_max: int) -> Iterator[DeadLetter]:
        """Letters by seq, at most count_max; after is an exclusive start, to resume a page."""
        start = None if after is None else dead_letter_key(after)
        for _, data in self._reader.scan(dead_letter_prefix(), after=start, count_max=count_max):
            yield _CODEC.decode(data)

    def count(self) -> int:
        """How many there are, without reading them."""
        data = self._reader.get(DEAD_LETTER_COUNT_KEY)
        return 0 if data is None else int(_COUNT.unpack(data)[0])


class DeadLetterWriter(DeadLetterStore):
    """Stages dead letters and their count."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, letter: DeadLetter) -> None:
        """Keep a letter, or put it in the place of the one at the same seq."""
        key = dead_letter_key(letter.seq)
        if self._staging.get(key) is None:
            self._put_count(self.count() + 1)
        self._staging.put(key, _CODEC.encode(letter))

    def remove(self, seq: int) -> None:
        """Take a letter away, if it is there."""
        key = dead_letter_key(seq)
        if self._staging.get(key) is not None:
            self._staging.delete(key)
            self._put_count(self.count() - 1)

    def _put_count(self, count: int) -> None:
        """A state without letters has no row for them, as one that never had any."""
        if count:
            self._staging.put(DEAD_LETTER_COUNT_KEY, _COUNT.pack(count))
        else:
            self._staging.delete(DEAD_LETTER_COUNT_KEY)


def reason_of(error: BaseException) -> str:
    """What an error says, on one line of printable characters and at most REASON_BYTES_MAX bytes of UTF-8."""
    try:
        text = str(error)[:_READ_CHARACTERS_MAX]
    except Exception:  # an error of another's making may fail even in this
        text = "its text cannot be made"
    line = " ".join("".join(char if char.isprintable() else " " for char in f"{type(error).__name__}: {text}").split())
    return line.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
