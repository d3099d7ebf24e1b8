"""Assertions that are hidden in favour of another, or of nothing: families SUP, SUPS, SUPW and SUPWS.

SUPS keeps whatever was said, also before its target is there; SUP is the one
that counts, with the position from which on it hides, so one get tells it as
of any position.  SUPW says by whose signatures an assertion may be superseded
that is not there yet, or that they have not signed yet; SUPWS, that there is
such a row at all.

Source: docs/format-keys.md, "Records".
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET, Struct

from keycodec import (
    any_waiting_supersession_key,
    said_supersession_key,
    said_supersession_prefix,
    supersession_key,
    waiting_supersession_key,
)
from model import Supersession
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging
from stores.walk import walk

ANY_OPERATOR: Final = bytes(32)  # in place of a signer; no key is all zeros: that one is of small order

_WAITING: Final = struct.Struct(">QQ")


class SupersessionRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A supersession as it was signed, with its hash, its signers so far and its first position.

    since: the position from which on it hides its target; -1: it does not.
    """

    event: Supersession
    digest: bytes
    signers: tuple[bytes, ...]
    seq: int
    time: int
    since: int

    def hides_at(self, at: int | None) -> bool:
        """Whether it hides its target as of a position, None for the newest."""
        return self.since >= 0 and (at is None or self.since <= at)


class Waiting(NamedTuple):
    """A signature by which a supersession counts once its target has it too.

    signed: the position of the signature.  seq: the first position of the supersession.
    """

    signed: int
    seq: int


_CODEC: Final = RecordCodec(SupersessionRow, version=2)


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

    def one_said(self, assertion_hex: str, seq: int) -> SupersessionRow | None:
        """What was said of an assertion at a position."""
        data = self._reader.get(said_supersession_key(assertion_hex, seq))
        return None if data is None else _CODEC.decode(data)

    def chain(self, assertion_hex: str, *, at: int | None = None, count_max: int) -> list[str]:
        """The assertion, its replacement as of a position, the replacement of that, and so on.

        At most count_max hashes, none twice.
        """

        def replacement(hash_hex: str) -> str | None:
            row = self.get(hash_hex)
            if row is None or not row.hides_at(at):
                return None
            return None if row.event.replacement is UNSET else row.event.replacement

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

    def any_waits(self) -> bool:
        """Whether anything waits at all: what every assertion is asked for."""
        return self._staging.get_often(any_waiting_supersession_key()) is not None

    def waiting(self, subject: str, assertion_hex: str, agents: Sequence[bytes]) -> list[Waiting | None]:
        """For each agent the first supersession of the subject's assertion that it has signed."""
        keys = [waiting_supersession_key(subject, assertion_hex, agent.hex()) for agent in agents]
        found = self._staging.get_many(keys)
        return [None if data is None else Waiting(*_WAITING.unpack(data)) for data in found]

    def put_waiting(self, subject: str, assertion_hex: str, agent: bytes, waiting: Waiting) -> None:
        """Set that; subject is the one that the supersession names."""
        key = waiting_supersession_key(subject, assertion_hex, agent.hex())
        self._staging.put(key, _WAITING.pack(*waiting))
        self._staging.put(any_waiting_supersession_key(), b"")
