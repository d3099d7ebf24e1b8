"""Subjects that are the same thing under another name: family ALIAS.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keycodec import alias_key, alias_prefix
from model import Alias
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging
from stores.walk import walk


class AliasRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The alias of a subject that counts now, with its hash and its first position."""

    event: Alias
    digest: bytes
    seq: int
    time: int


_CODEC: Final = RecordCodec(AliasRow, version=1)


class AliasStore:
    """Reads aliases."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str) -> AliasRow | None:
        """What a subject is said to be the same as."""
        data = self._reader.get(alias_key(subject))
        return None if data is None else _CODEC.decode(data)

    def resolve(self, subject: str, *, count_max: int) -> str:
        """The subject that stands for this one: where the aliases end, or after count_max subjects.

        Aliases that lead back make all subjects of the loop the same; the first of them in byte order stands for all.
        """

        def same_as(name: str) -> str | None:
            row = self.get(name)
            return None if row is None else row.event.same_as

        names, loop_start = walk(subject, same_as, count_max=count_max)
        return names[-1] if loop_start is None else min(names[loop_start:], key=str.encode)

    def aliases(self, start: str = "", *, after: str | None = None, count_max: int) -> Iterator[AliasRow]:
        """Aliases whose subjects begin with start, in byte order, at most count_max; after is an exclusive subject."""
        last = None if after is None else alias_key(after)
        for _, data in self._reader.scan(alias_prefix(start), after=last, count_max=count_max):
            yield _CODEC.decode(data)


class AliasWriter(AliasStore):
    """Stages aliases."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: AliasRow) -> None:
        """Make an alias its subject's."""
        self._staging.put(alias_key(row.event.subject), _CODEC.encode(row))
