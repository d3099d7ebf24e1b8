"""Assertions that are hidden in favour of another, or of nothing: families SUP and SUPS.

SUPS keeps whatever was said, with the signers by which a fold decides whether
it counts, also before its target is there; SUP is the one that counts.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET, Struct

from keycodec import said_supersession_key, said_supersession_prefix, supersession_key
from model import Supersession
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging
from stores.walk import walk


class SupersessionRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A supersession as it was signed and by whom, with its hash and its first position."""

    event: Supersession
    digest: bytes
    signers: tuple[bytes, ...]
    seq: int
    time: int


_CODEC: Final = RecordCodec(SupersessionRow, version=1)


class SupersessionStore:
    """Reads supersessions of assertions."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, assertion_hex: str) -> SupersessionRow | None:
        """What hides an assertion."""
        data = self._reader.get(supersession_key(assertion_hex))
        return None if data is None else _CODEC.decode(data)

    def get_many(self, digests: Iterable[bytes]) -> list[SupersessionRow | None]:
        """What hides each of several assertions, in the order asked."""
        found = self._reader.get_many([supersession_key(digest.hex()) for digest in digests])
        return [None if data is None else _CODEC.decode(data) for data in found]

    def said(self, assertion_hex: str, *, after: int | None = None, count_max: int) -> Iterator[SupersessionRow]:
        """All supersessions of an assertion in log order, at most count_max; after is an exclusive position."""
        start = None if after is None else said_supersession_key(assertion_hex, after)
        for _, data in self._reader.scan(said_supersession_prefix(assertion_hex), after=start, count_max=count_max):
            yield _CODEC.decode(data)

    def chain(self, assertion_hex: str, *, count_max: int) -> list[str]:
        """The assertion, its replacement, the replacement of that, and so on: at most count_max, none twice."""

        def replacement(hash_hex: str) -> str | None:
            row = self.get(hash_hex)
            return None if row is None or row.event.replacement is UNSET else row.event.replacement

        return walk(assertion_hex, replacement, count_max=count_max).nodes


class SupersessionWriter(SupersessionStore):
    """Stages supersessions of assertions."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put_said(self, row: SupersessionRow) -> None:
        """Keep what was said of an assertion, whether it counts or not."""
        self._staging.put(said_supersession_key(row.event.assertion, row.seq), _CODEC.encode(row))

    def put(self, row: SupersessionRow) -> None:
        """Make a supersession the one that counts."""
        self._staging.put(supersession_key(row.event.assertion), _CODEC.encode(row))
